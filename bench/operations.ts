/** The operations that are sent: one that reads and one that is durable, each with 1 KiB of content, in both forms. */

import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { OperationSchema } from '../src/protocol/generated/ops/operations_pb.js';
import { formatText } from '../src/protocol/text-format.js';
import { manifest } from '../src/simulate/kubernetes-objects.js';

export const payloadBytes = 1_024;

export const kinds = ['list', 'deploy'] as const;
/** `list` changes nothing and is not written to SQL before it is sent; `deploy` is. */
export type Kind = (typeof kinds)[number];
export type Form = 'json' | 'text';

const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };

/** A Kubernetes object as JSON, 1 KiB. */
export function sampleManifest(): Uint8Array {
  return manifest(deployment, payloadBytes);
}

/** The body of `POST /armory/agent/operations`, and of the bare stack's `POST /echo` in form json. */
export function requestBody(kind: Kind, form: Form, account: string): string {
  const request =
    kind === 'deploy'
      ? { deploy: { manifest: Buffer.from(sampleManifest()).toString('base64') } }
      : { list: { object: { apiVersion: 'v1', kind: 'Pod', namespace: 'default' }, labelSelector: selector() } };
  const json = { account, ...request };
  const operation =
    form === 'json' ? json : formatText(OperationSchema, fromJson(OperationSchema, json as unknown as JsonValue));
  return JSON.stringify({ operation });
}

/** A label selector of 1 KiB. */
function selector(): string {
  const names = Array.from({ length: 100 }, (_, index) => `web-${String(index).padStart(5, '0')}`);
  return `app in (${names.join(',')})`.padEnd(payloadBytes, 'x').slice(0, payloadBytes);
}
