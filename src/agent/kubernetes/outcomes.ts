/** Several objects in one operation: each is processed in turn, even if others failed, and has its own outcome. */

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { stringifyJson } from '../../documents/exact-json.js';
import {
  ObjectOutcomeSchema,
  ObjectsSchema,
  type ObjectOutcome,
  type ObjectReferenceSchema,
} from '../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../operation-results.js';
import type { Work } from './work.js';

export interface ObjectStep {
  /** As the caller named it. */
  readonly object: MessageInitShape<typeof ObjectReferenceSchema>;
  /** @returns the object for the result. @throws the error that becomes its outcome */
  readonly run: () => Promise<object>;
}

/** Below the gateway's default limit of a message, 4 MB. */
const maximumBytes = 3 << 20;
/** Number of failures that the overall message names; the outcomes list all of them. */
const toldFailures = 5;

/**
 * @returns success if every step succeeded; otherwise the status and reason of the first failure.
 * @throws the signal's reason
 */
export async function inTurn(work: Work, steps: AsyncIterable<ObjectStep> | Iterable<ObjectStep>): Promise<Execution> {
  const outcomes: ObjectOutcome[] = [];
  const manifests: Uint8Array[] = [];
  let bytes = 0;
  let leftOut = 0;
  for await (const { object, run } of steps) {
    let outcome: Execution = { status: 200 };
    try {
      const manifest = Buffer.from(stringifyJson(await run()));
      bytes += manifest.byteLength;
      if (bytes <= maximumBytes) manifests.push(manifest);
      else leftOut += 1;
    } catch (error) {
      work.signal.throwIfAborted();
      outcome = work.failure(error);
    }
    const { status, message = '', reason = '' } = outcome;
    outcomes.push(create(ObjectOutcomeSchema, { object, status, message, reason }));
  }
  const note =
    leftOut === 0 ? '' : `${String(leftOut)} objects succeeded but are left out, because the result would be too large`;
  const value = create(ObjectsSchema, { manifests, outcomes });
  return { ...summary(outcomes, note), body: { case: 'objects', value } };
}

function summary(outcomes: readonly ObjectOutcome[], note: string): Execution {
  const failed = outcomes.filter(({ status }) => status >= 300);
  const [first] = failed;
  if (first === undefined) return { status: 200, message: note };
  const told = failed.slice(0, toldFailures).map(({ object, message }) => {
    return `${object?.kind ?? ''} "${object?.name ?? ''}": ${message}`;
  });
  const more = failed.length > told.length ? [`and ${String(failed.length - told.length)} more`] : [];
  const text = `${String(failed.length)} of ${String(outcomes.length)} objects failed: ${[...told, ...more].join('; ')}`;
  return { status: first.status, reason: first.reason, message: note === '' ? text : `${text}; ${note}` };
}
