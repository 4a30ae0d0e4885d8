/** Targets that are functions: whatever comes in, they give a value or say what is wrong, and nothing else. */

import { toBinary } from '@bufbuild/protobuf';
import { GatewayError } from '../../src/core/errors.js';
import { parseFilter } from '../../src/gateway/auth/filter.js';
import { parseAgentPolicy, parseCallerPolicy } from '../../src/gateway/auth/policy.js';
import { parseStaticTokens } from '../../src/gateway/auth/static-tokens.js';
import { leaves } from '../../src/gateway/config/leaves.js';
import { resolveValues } from '../../src/gateway/config/values.js';
import { parseYaml } from '../../src/gateway/config/yaml.js';
import { readKubernetesObject } from '../../src/gateway/caching/kubernetes-object.js';
import { sniff } from '../../src/gateway/listeners/first-bytes.js';
import { OperationResultSchema, OperationSchema } from '../../src/protocol/generated/ops/operations_pb.js';
import { formatText, parseText } from '../../src/protocol/text-format.js';
import { readDelimited } from '../../src/protocol/delimited.js';
import { readAgentFrame, readOperationHeader, readResultHeader, readRoute } from '../../src/protocol/wire.js';
import { kindOf, type Target } from './fuzz.js';

function pure(name: string, run: (input: Buffer) => string): Target {
  return { name, run, close: () => Promise.resolve() };
}

/** What was said, or what was refused and why. @throws anything that is not an expected failure */
function outcomeOf(task: () => unknown): string {
  try {
    return `ok ${typeof task()}`;
  } catch (error) {
    if (error instanceof GatewayError && error.code !== 'internal') return kindOf(error.message);
    throw error;
  }
}

/** As outcomeOf(), for readers of our files, which throw an Error in words. */
function wordsOf(task: () => unknown): string {
  try {
    return `ok ${typeof task()}`;
  } catch (error) {
    if (error instanceof Error && error.constructor === Error) return kindOf(error.message);
    throw error;
  }
}

const textFormat = pure('text-format', (input) => {
  const text = input.toString('utf8');
  return [OperationSchema, OperationResultSchema]
    .map((schema) =>
      outcomeOf(() => {
        const message = parseText(schema, text);
        const again = parseText(schema, formatText(schema, message, { unknownFields: true }));
        if (!Buffer.from(toBinary(schema, again)).equals(toBinary(schema, message)))
          throw new Error('what was printed is read as something else');
      }),
    )
    .join(' ');
});

const wire = pure('wire', (input) =>
  [
    () => readAgentFrame(input),
    () => readOperationHeader(input),
    () => readResultHeader(input),
    () => readRoute(input),
    () => readDelimited(input, 'ops.Operation'),
  ]
    .map(outcomeOf)
    .join(' '),
);

/** However the bytes are cut, the protocol is the same; and it is known after the longest that has to be looked at. */
const firstBytes = pure('first-bytes', (input) => {
  const whole = sniff(input);
  for (let length = 0; length <= Math.min(input.length, 40); length += 1) {
    const part = sniff(input.subarray(0, length));
    if (part !== 'incomplete' && part !== whole)
      throw new Error(`${part} after ${String(length)} bytes, then ${whole}`);
  }
  if (input.length >= 24 && whole === 'incomplete') throw new Error('never known');
  return whole;
});

const files = pure('files', (input) => {
  const text = input.toString('utf8');
  const configuration = outcomeOf(() => {
    const { problems } = resolveValues(parseYaml(text, 'gateway.yml', (key) => leaves.has(key)));
    return problems.length;
  });
  const own = [parseStaticTokens, parseAgentPolicy, parseCallerPolicy, parseFilter].map((parse) =>
    wordsOf(() => parse(text)),
  );
  return [configuration, ...own].join(' ');
});

const objects = pure('objects', (input) =>
  outcomeOf(() => readKubernetesObject({ account: 'a', apiVersion: 'v1', kind: 'Pod', namespace: '' }, input)),
);

export const pureTargets: readonly Target[] = [textFormat, wire, firstBytes, files, objects];
