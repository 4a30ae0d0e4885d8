/** Executes operations on the clusters of this agent: maps each request to its function. */

import type { Logger } from '../../core/logger.js';
import type { Operation } from '../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../operation-results.js';
import type { Execute } from '../operation-runner.js';
import type { Cluster } from './cluster.js';
import { failureOf } from './failures.js';
import { deploy, runJob } from './operations/deploy.js';
import { get, list, patch, remove } from './operations/objects.js';
import { accessReview, logs } from './operations/questions.js';
import { pause, restart, resume, scale, undo } from './operations/rollout.js';
import type { Retries } from './retries.js';
import { Work } from './work.js';

export interface ExecuteOptions {
  /** The cluster of an account that this agent serves. */
  readonly clusterOf: (account: string) => Cluster | undefined;
  /** The name of this agent in `metadata.managedFields`. */
  readonly fieldManager: string;
  readonly retries: Retries;
  readonly logger: Logger;
}

export function createExecute({ clusterOf, fieldManager, retries, logger }: ExecuteOptions): Execute {
  return async (operation, { signal }) => {
    const cluster = clusterOf(operation.account);
    if (cluster === undefined) {
      return { status: 404, reason: 'NotFound', message: `this agent does not serve account "${operation.account}"` };
    }
    const { id, account } = operation;
    const failure = (thrown: unknown): Execution =>
      failureOf(thrown, id, () => {
        logger.error({ operationId: id, account, error: thrown }, 'unexpected error in an operation; it fails');
      });
    const work = new Work(cluster, { fieldManager, retries, signal, failure });
    try {
      return await work.withFreshKinds(() => execute(work, operation.request));
    } catch (error) {
      // The code that set the deadline answers for it.
      signal.throwIfAborted();
      return failure(error);
    }
  };
}

function execute(work: Work, request: Operation['request']): Promise<Execution> {
  switch (request.case) {
    case 'deploy':
      return deploy(work, request.value);
    case 'runJob':
      return runJob(work, request.value);
    case 'get':
      return get(work, request.value);
    case 'list':
      return list(work, request.value);
    case 'patch':
      return patch(work, request.value);
    case 'delete':
      return remove(work, request.value);
    case 'scale':
      return scale(work, request.value);
    case 'restart':
      return restart(work, request.value);
    case 'pause':
      return pause(work, request.value);
    case 'resume':
      return resume(work, request.value);
    case 'undo':
      return undo(work, request.value);
    case 'logs':
      return logs(work, request.value);
    case 'accessReview':
      return accessReview(work, request.value);
    case undefined:
      return Promise.resolve({
        status: 400,
        reason: 'BadRequest',
        message: 'the operation has no request that this agent supports',
      });
  }
}
