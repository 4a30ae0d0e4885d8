/**
 * The way of a result: from the agent's stream to the instance that waits for it, and into the record.
 *
 * The agent keeps a result until it gets a receipt, and the receipt is sent once the result is recorded; so no matter
 * which process is killed in between, the result comes again. Results of operations that this instance did not send
 * (the agent changed instances meanwhile) find their originator through kubesvc_ops.
 */

import { BoundedWarnings } from '../../core/bounded-warnings.js';
import { unlessLate } from '../../core/deadline.js';
import { GatewayError, messageOf, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { TakenEntry } from '../../core/pending.js';
import { retry } from '../../core/retry.js';
import type { Discovery } from '../../discovery/discovery.js';
import {
  readResultHeader,
  readRoute,
  withAccount,
  withRoute,
  type OperationRoute,
  type ResultHeader,
} from '../../protocol/wire.js';
import type { FinalOutcome, FinishedOperation, OperationRecord } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { InFlight, Session } from '../agents/session.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Tracing } from '../telemetry/tracing.js';
import type { Forwarder } from '../peers/forwarder.js';
import { endedWithout, outcomeOf, recordOf, timeOf, type Originated } from './operation.js';
import type { Recorder } from './recorder.js';
import type { Acceptance } from './acceptance.js';

export type ReceiptOutcome = 'recorded' | 'too-large' | 'unknown-operation';

export interface ResultsOptions {
  readonly instanceId: string;
  readonly acceptance: Acceptance;
  readonly forwarder: Pick<Forwarder, 'result'>;
  readonly discovery: Pick<Discovery, 'instance'>;
  readonly recorder: Recorder;
  readonly operations: Pick<OperationStore, 'find'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly maxMessageBytes: number;
  /** Encodes receipts, and the refusal that replaces an oversized result (grpc/frames.ts). */
  readonly receipt: (operationId: string, outcome: ReceiptOutcome) => Uint8Array;
  readonly tooLarge: (operationId: string, account: string, bytes: number, limit: number) => Uint8Array;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
  /** Wall clock, Unix ms: for recorded times. */
  readonly now: () => number;
}

export class Results {
  readonly #options: ResultsOptions;
  /** Agents can cause these at will. */
  readonly #warnings: BoundedWarnings;
  /** Answers of this turn of the event loop. */
  #answers: { readonly taken: TakenEntry<Uint8Array, Originated>; readonly answer: Uint8Array }[] = [];

  constructor(options: ResultsOptions) {
    this.#options = options;
    this.#warnings = new BoundedWarnings(options.logger);
    // Prometheus sees an increase only over an earlier value, and a single increase must raise the alert.
    options.metrics.results.inc({ way: 'foreign' }, 0);
  }

  readonly #answerAll = (): void => {
    const answers = this.#answers;
    this.#answers = [];
    for (const { taken, answer } of answers) taken.resolve(answer);
  };

  /** Takes a result from an agent's stream. Never throws: a result that cannot be delivered now comes again. */
  async fromAgent(session: Session, bytes: Uint8Array): Promise<void> {
    const { metrics, receipt, maxMessageBytes } = this.#options;
    const answered = readResultHeader(bytes);
    const { operationId } = answered;
    if (!session.answering()) {
      this.#warnings.warn(
        { operationId, agentId: session.agent.agentId },
        'too many results at once; the agent sends this one again',
      );
      return;
    }
    let said: ReceiptOutcome | undefined;
    try {
      const inFlight = session.take(operationId);
      const outcome = bytes.length > maxMessageBytes ? 'too-large' : 'recorded';
      const result = outcome === 'recorded' ? bytes : this.#tooLarge(answered, inFlight?.account ?? '', bytes.length);
      // The record says what the caller is told, not the success that the agent may have reported.
      const header = outcome === 'recorded' ? answered : readResultHeader(result);
      if (outcome === 'too-large') metrics.results.inc({ way: 'too-large' });
      const taken =
        inFlight === undefined
          ? this.#late(session, header, result)
          : this.#answered(session, header, result, inFlight);
      const known = typeof taken === 'object' ? await taken : taken;
      if (known === 'foreign')
        this.#warnings.warn(
          { operationId, agentId: session.agent.agentId, principal: session.principal?.name },
          'result from an agent that was not sent the operation; ignored',
        );
      if (known !== true) metrics.results.inc({ way: known === 'foreign' ? 'foreign' : 'unknown' });
      said = known === true ? outcome : 'unknown-operation';
    } catch (error) {
      this.#warnings.warn(
        { operationId, agentId: session.agent.agentId, error: messageOf(error) },
        'result not recorded; the agent sends it again',
      );
    }
    session.replied(said === undefined ? undefined : receipt(operationId, said));
  }

  /**
   * Takes a result that another instance or a script sends.
   * @param forwarded it comes from an instance, which has looked for the originator already
   * @throws GatewayError `unknown-operation`, `operation-ended`, `owner-unreachable`, `dependency-unavailable`
   */
  async fromInstance(bytes: Uint8Array, forwarded: boolean): Promise<void> {
    const header = readResultHeader(bytes);
    const route = readRoute(bytes);
    if (await this.#complete(header, bytes, route)) return;
    const record = await this.#options.operations.find(header.operationId);
    if (record === undefined) {
      throw new GatewayError('unknown-operation', `operation ${header.operationId} is not known`, {
        operationId: header.operationId,
        field: 'result.operation_id',
      });
    }
    if (record.finalOutcome !== undefined) {
      throw new GatewayError(
        'operation-ended',
        `operation ${header.operationId} has already ended: ${record.finalOutcome}`,
        { operationId: header.operationId },
      );
    }
    const originator = record.receivedBy?.instanceId;
    if (!forwarded && originator !== undefined && (await this.#bring(originator, bytes))) return;
    await this.#options.recorder.end(this.#recordWithout(record, header, route));
  }

  /** The usual case: the result of an operation that was sent on this very stream. */
  #answered(session: Session, header: ResultHeader, bytes: Uint8Array, inFlight: InFlight): boolean | Promise<boolean> {
    const { tracing } = this.#options;
    const { processedTime, sentTime, sentAt } = inFlight;
    // Rounded down like timeOf(), so that it is never after the end.
    const answeredTime = Math.floor(sentTime + performance.now() - sentAt);
    if (tracing.enabled) {
      const parent = { traceparent: inFlight.traceparent, tracestate: '' };
      const span = tracing.start('agent', { kind: 'client', parent, startTime: sentTime });
      const { operationId, status, message } = header;
      const agent = { 'agent_gateway.agent.id': session.agent.agentId, 'agent_gateway.account': inFlight.account };
      span?.end(
        { ...agent, 'agent_gateway.operation.id': operationId, 'agent_gateway.status': status },
        status < 300 ? undefined : message,
        answeredTime,
      );
    }
    const route = this.#route(session, { processedTime, sentTime, answeredTime });
    if (inFlight.originatingInstanceId !== this.#options.instanceId)
      return this.#forward(header, bytes, inFlight, route);
    this.#options.metrics.results.inc({ way: 'local' });
    const completed = this.#complete(header, bytes, route);
    return completed === false ? this.#ended(header.operationId) : completed;
  }

  async #forward(header: ResultHeader, bytes: Uint8Array, inFlight: InFlight, route: OperationRoute): Promise<boolean> {
    const { metrics, operations, recorder } = this.#options;
    metrics.results.inc({ way: 'forwarded' });
    const routed = withRoute(bytes, route);
    try {
      if (await this.#bring(inFlight.originatingInstanceId, routed)) return true;
    } catch (error) {
      if (isOver(error)) return this.#ended(header.operationId);
      throw error;
    }
    const record = await operations.find(header.operationId);
    if (record === undefined || record.finalOutcome !== undefined) return record !== undefined;
    await recorder.end(this.#recordWithout(record, header, route));
    return true;
  }

  /**
   * The agent was sent the operation on another stream, or long ago: it may repeat a result after it has dialled again.
   * @returns `foreign` if the operation was sent to another agent
   */
  async #late(session: Session, header: ResultHeader, bytes: Uint8Array): Promise<boolean | 'foreign'> {
    const { instanceId, operations, recorder, now } = this.#options;
    const originated = this.#options.acceptance.originated(header.operationId);
    if (originated !== undefined) {
      if (!mayAnswer(session, originated.account, originated.binding?.agentId)) return 'foreign';
      const answeredTime = timeOf(originated);
      const { processedTime = answeredTime, sentTime = answeredTime } = originated.taken ?? {};
      return this.#complete(header, bytes, this.#route(session, { processedTime, sentTime, answeredTime }));
    }
    const record = await operations.find(header.operationId);
    if (record === undefined) return false;
    if (!mayAnswer(session, record.account, record.sentToAgent?.agentId)) return 'foreign';
    if (record.finalOutcome !== undefined) return true;
    const answeredTime = Math.max(record.startTime, now());
    const { processedBy, sentToAgent } = record;
    const [processedTime, sentTime] = [processedBy?.time ?? answeredTime, sentToAgent?.time ?? answeredTime];
    const route = this.#route(session, { processedTime, sentTime, answeredTime });
    const originator = record.receivedBy?.instanceId;
    try {
      if (
        originator !== undefined &&
        originator !== instanceId &&
        (await this.#bring(originator, withRoute(bytes, route)))
      )
        return true;
    } catch (error) {
      if (!isOver(error)) throw error;
    }
    await recorder.end(this.#recordWithout(record, header, route));
    return true;
  }

  /** @returns false if this instance does not wait for it; a promise if its outcome must be recorded first */
  #complete(header: ResultHeader, bytes: Uint8Array, route: OperationRoute | undefined): boolean | Promise<true> {
    const { acceptance, recorder, instanceId, metrics } = this.#options;
    const taken = acceptance.take(header.operationId);
    if (taken === undefined) return false;
    const operation = taken.context;
    const endTime = timeOf(operation);
    const outcome = outcomeOf(header);
    if (route !== undefined) {
      operation.taken = {
        instanceId: route.processedByInstanceId,
        agentId: route.sentToAgentId,
        epoch: operation.taken?.epoch ?? 0,
        processedTime: route.processedTime,
        sentTime: route.sentTime,
      };
    }
    const record = recordOf(operation, instanceId, {
      outcome,
      endTime,
      message: header.message,
      answer: answerOf(header, route, operation.taken?.agentId ?? '', endTime),
    });
    const path = operation.taken?.instanceId === instanceId ? 'local' : 'forwarded';
    metrics.ended(path, outcome, (endTime - operation.receivedTime) / 1_000);
    // The account in the agent's result is ignored: the caller may not even have asked about it.
    const named = header.account === operation.account ? bytes : withAccount(bytes, operation.account);
    const answer = route === undefined ? named : withRoute(named, route);
    if (operation.durable) return this.#record(taken, record, answer);
    recorder.endLater(record, false);
    // Answers of one turn of the event loop are written right after one another: that wakes their readers once. Written
    // one by one they would wake the readers each time, which costs a fifth of the whole (Redis answers before it
    // sleeps for the same reason).
    if (this.#answers.push({ taken, answer }) === 1) setImmediate(this.#answerAll);
    return true;
  }

  /** The caller is told what the record says, so the answer waits for the record. */
  async #record(
    taken: TakenEntry<Uint8Array, Originated>,
    record: FinishedOperation,
    answer: Uint8Array,
  ): Promise<true> {
    const { recorder, operations, logger } = this.#options;
    const { operationId, finalOutcome } = record;
    const written = recorder.end(record).catch((error: unknown) => {
      logger.warn(
        { operationId, error: messageOf(error) },
        'outcome of an operation not recorded yet; waiting for the database',
      );
      return recorder.endEventually(record);
    });
    // If another instance took the operation over meanwhile, its outcome stands.
    const recorded = written.then(async (first) =>
      first ? finalOutcome : ((await operations.find(operationId))?.finalOutcome ?? finalOutcome),
    );
    await this.#answerInTime(taken, recorded, finalOutcome, answer);
    await recorded;
    return true;
  }

  /** Answers once the outcome is recorded, but not past the caller's deadline. */
  async #answerInTime(
    taken: TakenEntry<Uint8Array, Originated>,
    recorded: Promise<FinalOutcome>,
    expected: FinalOutcome,
    answer: Uint8Array,
  ): Promise<void> {
    const { id, account, deadline } = taken.context;
    try {
      const outcome = await unlessLate(recorded, Math.max(0, deadline - performance.now()));
      if (outcome === expected) taken.resolve(answer);
      else if (outcome !== undefined) taken.reject(endedWithout(outcome, taken.context));
      else {
        const message = `operation ${id} has ended, but the database does not accept its outcome; look it up later`;
        taken.reject(new GatewayError('timed-out', message, { operationId: id, account }));
      }
    } catch (error) {
      taken.reject(toGatewayError(error));
      throw error;
    }
  }

  /** @returns false if the originating instance is gone, so that nobody waits any longer */
  async #bring(originator: string, bytes: Uint8Array): Promise<boolean> {
    const { discovery, forwarder } = this.#options;
    const bring = async () => {
      const peer = discovery.instance(originator);
      if (peer === undefined) {
        const message = `instance ${originator} is not among the members`;
        throw new GatewayError('unknown-instance', message, { instanceId: originator });
      }
      await forwarder.result(peer, bytes);
    };
    try {
      await retry(bring, {
        signal: this.#options.stopping,
        attempts: 5,
        retryable: (error) => toGatewayError(error).code === 'owner-unreachable',
      });
      return true;
    } catch (error) {
      if (isOver(error)) throw error;
      this.#options.logger.warn(
        { originator, error: messageOf(error) },
        'cannot reach the originating instance; recording its operation here',
      );
      return false;
    }
  }

  async #ended(operationId: string): Promise<boolean> {
    return (await this.#options.operations.find(operationId))?.finalOutcome !== undefined;
  }

  #route(session: Session, times: Pick<OperationRoute, 'processedTime' | 'sentTime' | 'answeredTime'>): OperationRoute {
    const { instanceId } = this.#options;
    const { agentId } = session.agent;
    return {
      ...times,
      processedByInstanceId: instanceId,
      sentToAgentId: agentId,
      answeredByAgentId: agentId,
      answeredToInstanceId: instanceId,
    };
  }

  #tooLarge(header: ResultHeader, account: string, bytes: number): Uint8Array {
    return this.#options.tooLarge(header.operationId, account, bytes, this.#options.maxMessageBytes);
  }

  #recordWithout(record: OperationRecord, header: ResultHeader, route: OperationRoute | undefined): FinishedOperation {
    const { instanceId, now } = this.#options;
    const endTime = Math.max(record.startTime, route?.answeredTime ?? now());
    return {
      ...record,
      endTime,
      totalDurationMs: endTime - record.startTime,
      finalOutcome: outcomeOf(header),
      ...(route === undefined
        ? {}
        : {
            processedBy: { instanceId: route.processedByInstanceId, time: route.processedTime },
            sentToAgent: { agentId: route.sentToAgentId, time: route.sentTime },
          }),
      resultReceivedFromAgent: answerOf(header, route, record.sentToAgent?.agentId ?? '', endTime),
      resultReceivedBy: { instanceId, time: endTime },
      resultMessage: header.message,
    };
  }
}

function answerOf(header: ResultHeader, route: OperationRoute | undefined, agentId: string, time: number) {
  return {
    agentId: route?.answeredByAgentId ?? agentId,
    instanceId: route?.answeredToInstanceId ?? '',
    time: route?.answeredTime ?? time,
    status: header.status,
    durationMs: header.durationMs,
  };
}

/** All agents of an account have one principal (assignments.ts), so a stranger cannot match both. */
function mayAnswer(session: Session, account: string, sentToAgentId: string | undefined): boolean {
  const { agentId } = session.agent;
  return session.accounts.has(account) && (sentToAgentId ?? agentId) === agentId;
}

/** The originating instance says that it does not wait, or no longer. */
function isOver(error: unknown): boolean {
  const { code } = toGatewayError(error);
  return code === 'unknown-operation' || code === 'operation-ended';
}
