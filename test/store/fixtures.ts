/** Registrations and operations as agents and callers would send them. */

import type { AccountRegistration } from '../../src/store/accounts/account-record.js';
import type { Connection } from '../../src/store/assignments/ownership.js';
import type { FinishedOperation, StoredOperation } from '../../src/store/operations/operation-record.js';

export function account(name: string, properties: Readonly<Record<string, string>> = {}): AccountRegistration {
  return {
    name,
    kubeHost: `https://${name}.example:6443`,
    kubeVersion: 'v1.35.1',
    certFingerprint: 'ab:cd',
    maxWatchAgeSeconds: 300,
    namespaces: ['default'],
    properties,
  };
}

export function accounts(...names: readonly string[]): AccountRegistration[] {
  return names.map((name) => account(name));
}

export function connection(agentId: string, instanceId: string, epoch: number): Connection {
  return { agentId, instanceId, epoch, zoneId: 'zone' };
}

export function operation(id: string, change: Partial<StoredOperation> = {}): StoredOperation {
  return {
    id,
    account: 'prod',
    operationType: 'DEPLOY',
    body: Buffer.from(`body of ${id}`),
    digest: `digest of ${id}`,
    receivedByInstanceId: 'replica-1',
    receivedTime: 1_700_000_000_000,
    timeoutMs: 30_000,
    agentId: 'agent-1',
    agentEpoch: 1,
    ...change,
  };
}

export function finished(id: string, change: Partial<FinishedOperation> = {}): FinishedOperation {
  return {
    operationId: id,
    operationType: 'DEPLOY',
    account: 'prod',
    startTime: 1_700_000_000_000,
    endTime: 1_700_000_001_500,
    finalOutcome: 'completed',
    receivedBy: { instanceId: 'replica-1', time: 1_700_000_000_000 },
    digest: `digest of ${id}`,
    ...change,
  };
}

export async function collect<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}
