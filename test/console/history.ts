/** History that nobody has to wait for: rows as a replica records them when operations end. */

import { ulid } from 'ulid';
import type { FinishedOperation } from '../../src/store/operations/operation-record.js';

/** An operation on shop/web that was sent to the agent of its account and has ended. */
export function endedOperation(fields: Partial<FinishedOperation> & { readonly startTime: number }): FinishedOperation {
  const { startTime, account = 'prod-eu-west-1-payments', totalDurationMs = 120 } = fields;
  const endTime = startTime + totalDurationMs;
  return {
    operationId: ulid(startTime),
    operationType: 'scale',
    account,
    endTime,
    totalDurationMs,
    finalOutcome: 'completed',
    receivedBy: { instanceId: 'gateway-0', time: startTime },
    processedBy: { instanceId: 'gateway-1', time: startTime + 2 },
    sentToAgent: { agentId: `agent-of-${account}`, time: startTime + 3 },
    digest: '',
    caller: 'policy:deployers',
    object: { group: 'apps', kind: 'Deployment', resource: 'deployments', namespace: 'shop', name: 'web' },
    ...fields,
  };
}
