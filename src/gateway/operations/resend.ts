/**
 * Sends the stored, unfinished operations of this instance to their agents once more. An agent drops an operation that
 * it already has, and answers one that it has executed, so nothing is executed twice; it is for operators who suspect
 * that something got lost.
 */

import { withDeadline } from '../../core/deadline.js';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Originated } from './operation.js';
import type { Router } from './router.js';
import type { Routing } from './routing.js';

export interface ResendOptions {
  readonly instanceId: string;
  readonly operations: Pick<OperationStore, 'unfinished' | 'find'>;
  readonly router: Router;
  readonly routing: Routing;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

export interface ResendReport {
  /** Stored and unfinished. */
  readonly operations: number;
  /** Those of them that an owner took. */
  readonly sent: number;
  /** Those whose agent is not connected or accepts no more: they are sent once it does. */
  readonly waiting: number;
}

const pageSize = 50;
const concurrency = 32;
/** Operations that are not sent by then count as waiting, in ms. */
const deadlineMs = 20_000;
/** How long others wait for this instance's report, in ms. */
export const resendTimeoutMs = deadlineMs * 1.5;

export class Resend {
  readonly #options: ResendOptions;
  #running: Promise<ResendReport> | undefined;

  constructor(options: ResendOptions) {
    this.#options = options;
  }

  /**
   * A caller gets the same report if a run is already under way.
   * @throws GatewayError `dependency-unavailable`, `timed-out`
   */
  run(): Promise<ResendReport> {
    this.#running ??= withDeadline(deadlineMs, this.#options.stopping, 'sending operations again', (signal) =>
      this.#run(signal),
    ).finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #run(signal: AbortSignal): Promise<ResendReport> {
    const { router, logger } = this.#options;
    const waiting: Originated[] = [];
    for (const account of router.accountsUnderWay())
      for (const operation of router.ofAccount(account)) if (operation.durable) waiting.push(operation);
    const adopted = await this.#adoptForgotten(signal);
    const report = { operations: waiting.length + adopted, sent: 0, waiting: adopted };
    const work = async (): Promise<void> => {
      for (let operation = waiting.pop(); operation !== undefined; operation = waiting.pop()) {
        if (!signal.aborted && (await this.#send(operation))) report.sent += 1;
        else report.waiting += 1;
      }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    logger.info(report, 'stored operations sent again');
    return report;
  }

  async #send(operation: Originated): Promise<boolean> {
    const { router, routing, metrics, logger } = this.#options;
    // It is on its way, or was answered meanwhile.
    if (operation.routing || router.originated(operation.id) !== operation) return true;
    metrics.resent.inc();
    try {
      await routing.route(operation);
      return true;
    } catch (error) {
      logger.debug({ operationId: operation.id, error: messageOf(error) }, 'could not send the operation again');
      return false;
    }
  }

  /** Adopts operations that this instance stored but does not wait for, because there were too many at its start. */
  async #adoptForgotten(signal: AbortSignal): Promise<number> {
    const { instanceId, operations, router } = this.#options;
    let adopted = 0;
    for (let after: string | undefined = ''; after !== undefined;) {
      const page = await operations.unfinished({ receivedByInstanceId: instanceId, after, limit: pageSize }, signal);
      for (const operation of page) {
        if (operation.timeLeftMs <= 0 || router.originated(operation.id) !== undefined) continue;
        // It may have ended after the page was read.
        const record = await operations.find(operation.id, signal);
        if (record === undefined || record.finalOutcome !== undefined) continue;
        if (router.adopt(operation)) adopted += 1;
      }
      after = page.length < pageSize ? undefined : page.at(-1)?.id;
    }
    return adopted;
  }
}
