/**
 * The history of requests of the Kubernetes API: one row for each that changes something and each upgrade, written
 * after its end. Never a body, a query or a header.
 */

import type { ErrorCode, GatewayError } from '../../core/errors.js';
import type { RequestInfo } from '../../kubernetes/request-info.js';
import type {
  AgentStep,
  FinalOutcome,
  FinishedOperation,
  InstanceStep,
  RecordedObject,
} from '../../store/operations/operation-record.js';
import { createOperationIds } from '../operations/operation-id.js';
import type { Recorder } from '../operations/recorder.js';

/** Of their rows, beside the types of operations. */
export const apiRequestType = 'kubernetes-api';

/** A request that has ended. Times are Unix ms. */
export interface ApiRequestRecord {
  readonly account: string;
  /** Its principal, or "anonymous ADDRESS". */
  readonly caller: string;
  readonly info: RequestInfo;
  readonly startTime: number;
  /** By the monotonic clock, in ms. */
  readonly durationMs: number;
  /** Of bodies, and of the bytes of an upgraded connection. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The instance that holds the agent's stream; absent: none was found. */
  readonly owner?: InstanceStep | undefined;
  /** Absent: the request did not leave the gateway, as far as this instance knows. */
  readonly agent?: AgentStep | undefined;
  /** Of the answer, as the caller got it; absent: none came. */
  readonly status?: number | undefined;
  /** Why it did not end as HTTP ends: `cancelled` when the caller went. Absent: the answer was complete. */
  readonly failure?: GatewayError | undefined;
}

export interface ApiRequestRecordsOptions {
  readonly instanceId: string;
  readonly recorder: Pick<Recorder, 'endLater'>;
}

const readingVerbs: ReadonlySet<string> = new Set(['get', 'list', 'watch']);
/** The verb of a request that names no kind is its method. */
const readingMethods: ReadonlySet<string> = new Set(['get', 'head', 'options']);

/** Whether a request belongs in the history: it may change something, or is an upgrade. */
export function isRecorded({ isResource, verb }: RequestInfo, upgrade: string): boolean {
  return upgrade !== '' || !(isResource ? readingVerbs : readingMethods).has(verb.toLowerCase());
}

export class ApiRequestRecords {
  readonly #options: ApiRequestRecordsOptions;
  readonly #newId = createOperationIds();

  constructor(options: ApiRequestRecordsOptions) {
    this.#options = options;
  }

  /** Leaves a row to be written moments later; one that cannot be written is counted and logged. Never throws. */
  record(entry: ApiRequestRecord): void {
    const record = finishedRequest(this.#newId(entry.startTime), entry, this.#options.instanceId);
    this.#options.recorder.endLater(record, false);
  }
}

function finishedRequest(operationId: string, entry: ApiRequestRecord, instanceId: string): FinishedOperation {
  const { account, caller, info, startTime, durationMs, owner, agent, status, failure } = entry;
  const totalDurationMs = Math.round(durationMs);
  const endTime = startTime + totalDurationMs;
  return {
    operationId,
    operationType: apiRequestType,
    account,
    startTime,
    endTime,
    totalDurationMs,
    finalOutcome: outcomeOf(status, failure),
    receivedBy: { instanceId, time: startTime },
    processedBy: owner,
    sentToAgent: agent,
    ...(agent === undefined || status === undefined
      ? {}
      : {
          resultReceivedFromAgent: {
            agentId: agent.agentId,
            instanceId: owner?.instanceId ?? instanceId,
            time: endTime,
            status,
            durationMs: Math.max(0, endTime - agent.time),
          },
        }),
    digest: '',
    errorMessage: failure?.message,
    caller,
    verb: info.verb,
    object: objectOf(info),
    requestBytes: entry.requestBytes,
    responseBytes: entry.responseBytes,
  };
}

const outcomes: Readonly<Partial<Record<ErrorCode, FinalOutcome>>> = {
  cancelled: 'cancelled',
  'timed-out': 'timed out',
  'agent-lost': 'agent lost',
  'owner-unreachable': 'agent lost',
};

function outcomeOf(status: number | undefined, failure: GatewayError | undefined): FinalOutcome {
  if (failure === undefined) return status !== undefined && status < 400 ? 'completed' : 'failed';
  // Nothing of it reached an API server: nobody has to find out what it did.
  return failure.details.unsent === true ? 'failed' : (outcomes[failure.code] ?? 'failed');
}

/** As records have it. */
export function objectOf({
  isResource,
  path,
  group,
  resource,
  subresource,
  namespace,
  name,
}: RequestInfo): RecordedObject {
  if (!isResource) return { group: '', resource: path, namespace: '', name: '' };
  return { group, resource: subresource === '' ? resource : `${resource}/${subresource}`, namespace, name };
}
