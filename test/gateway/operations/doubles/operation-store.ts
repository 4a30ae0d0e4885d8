/** kubesvc_ops and kubesvc_ops_history in memory; operation-store.test.ts compares its answers with the tables of every engine. */

import type {
  FinishedOperation,
  InsertOutcome,
  OperationBinding,
  OperationRecord,
  StoredOperation,
  UnfinishedFilter,
  UnfinishedOperation,
} from '../../../../src/store/operations/operation-record.js';
import type { OperationStore } from '../../../../src/store/operations/operations.js';

type Contract = Pick<
  OperationStore,
  'insert' | 'insertNew' | 'withdraw' | 'finish' | 'note' | 'find' | 'unfinished' | 'adopt' | 'bind'
>;

export class OperationStoreDouble implements Contract {
  readonly pending = new Map<string, UnfinishedOperation>();
  readonly ended = new Map<string, FinishedOperation>();
  /** By operation: the instance that has taken it over from the one that was asked. */
  readonly adoptedBy = new Map<string, string>();
  /** Every statement throws it while it is set. */
  failure: Error | undefined;
  /** Every statement waits for it. */
  gate: Promise<void> = Promise.resolve();

  async insert(operations: readonly StoredOperation[]): Promise<InsertOutcome[]> {
    await this.#statement();
    return operations.map((operation) => {
      const { id } = operation;
      const ended = this.ended.get(id);
      if (ended !== undefined)
        return { id, status: 'finished', digest: ended.digest, finalOutcome: ended.finalOutcome };
      const pending = this.pending.get(id);
      if (pending !== undefined) return { id, status: 'pending', digest: pending.digest };
      this.store(operation);
      return { id, status: 'inserted' };
    });
  }

  async insertNew(operations: readonly StoredOperation[]): Promise<void> {
    await this.#statement();
    for (const operation of operations) this.store(operation);
  }

  async withdraw(id: string, receivedByInstanceId: string): Promise<boolean> {
    await this.#statement();
    if (this.pending.get(id)?.receivedByInstanceId !== receivedByInstanceId) return true;
    return !this.adoptedBy.has(id) && this.pending.delete(id);
  }

  async finish(records: readonly FinishedOperation[]): Promise<ReadonlySet<string>> {
    await this.#statement();
    const first = records.filter(({ operationId }) => !this.ended.has(operationId));
    for (const record of first) {
      this.ended.set(record.operationId, record);
      this.pending.delete(record.operationId);
    }
    return new Set(first.map(({ operationId }) => operationId));
  }

  async note(records: readonly FinishedOperation[]): Promise<void> {
    await this.#statement();
    for (const record of records) this.ended.set(record.operationId, record);
  }

  async find(id: string): Promise<OperationRecord | undefined> {
    await this.#statement();
    const pending = this.pending.get(id);
    return this.ended.get(id) ?? (pending === undefined ? undefined : recordOfPending(pending));
  }

  async unfinished(filter: UnfinishedFilter): Promise<UnfinishedOperation[]> {
    await this.#statement();
    const { receivedByInstanceId, overdueMs, after = '', limit } = filter;
    return [...this.pending.values()]
      .filter(
        (operation) =>
          operation.id > after &&
          (receivedByInstanceId === undefined || operation.receivedByInstanceId === receivedByInstanceId) &&
          (overdueMs === undefined || operation.timeLeftMs < -overdueMs),
      )
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit);
  }

  async adopt(ids: readonly string[], instanceId: string): Promise<void> {
    await this.#statement();
    for (const id of ids) if (this.pending.has(id)) this.adoptedBy.set(id, instanceId);
  }

  async bind(id: string, { agentId, epoch }: OperationBinding): Promise<boolean> {
    await this.#statement();
    const operation = this.pending.get(id);
    if (operation === undefined || this.adoptedBy.has(id)) return false;
    this.pending.set(id, { ...operation, agentId, agentEpoch: epoch });
    return true;
  }

  /** As if it had been stored before. @param timeLeftMs default: all its time */
  store(operation: StoredOperation, timeLeftMs = operation.timeoutMs): void {
    this.pending.set(operation.id, { ...operation, timeLeftMs });
  }

  async #statement(): Promise<void> {
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
  }
}

function recordOfPending(operation: StoredOperation): OperationRecord {
  const { id, operationType, account, digest, receivedTime, receivedByInstanceId } = operation;
  return {
    operationId: id,
    operationType,
    account,
    digest,
    startTime: receivedTime,
    receivedBy: { instanceId: receivedByInstanceId, time: receivedTime },
  };
}
