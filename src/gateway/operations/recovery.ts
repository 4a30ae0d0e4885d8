/**
 * Recovers operations whose agent or owner went away while they were under way. The originating instance
 * watches the ownership of the accounts it waits on:
 * - the process that has the operation came back on another stream: it gets the operation again, with the same id. It
 *   executes an id once, so it either executes it now or answers with the result it kept.
 * - another process of the agent replaced it: it knows nothing of the operation and must not execute it a second time.
 *   The operation ends as `agent lost`.
 * - a reading operation: any other agent of the account will do; routing looks for one for its number of attempts, then
 *   the operation fails.
 * - otherwise: the agent may still come back. The operation waits until its deadline and then ends as `agent lost`.
 */

import { GatewayError, messageOf, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import type { Binding } from '../../protocol/wire.js';
import type { Ownership } from '../../store/assignments/ownership.js';
import { isBoundTo, isOfAnotherProcess } from '../agents/delivery.js';
import type { OwnershipService } from '../agents/ownership.js';
import type { Metrics } from '../telemetry/metrics.js';
import { isReading, type Originated } from './operation.js';
import type { Router } from './router.js';
import type { Routing } from './routing.js';

export interface RecoveryOptions {
  readonly router: Router;
  readonly routing: Routing;
  readonly ownership: OwnershipService;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How often the truth is re-read for operations that take longer, in ms, in case the mirror missed a change. */
  readonly checkMs: number;
}

/** Accounts that one check re-reads; the others wait for the next check. */
const accountsPerCheck = 200;

export class Recovery {
  readonly #options: RecoveryOptions;
  #unsubscribe: (() => void) | undefined;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unsubscribe = this.#options.ownership.onChange((ownership) => {
      this.#changed(ownership);
    });
  }

  stop(): void {
    this.#unsubscribe?.();
  }

  /** Re-reads the truth for operations that take long; runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { router, ownership, checkMs, logger } = this.#options;
    const failed = (error: unknown): void => {
      logger.debug({ error: messageOf(error) }, 'could not re-read the ownership of waiting operations; retrying');
    };
    return repeat({ pauseMs: () => checkMs, failed }, signal, async () => {
      const old = performance.now() - checkMs;
      const accounts: string[] = [];
      for (const account of router.accountsUnderWay()) {
        if (accounts.length >= accountsPerCheck) break;
        if (router.ofAccount(account).some((operation) => operation.receivedAt < old)) accounts.push(account);
      }
      for (const account of accounts) {
        const truth = await ownership.refresh(account, signal);
        if (truth !== undefined) this.#changed(truth);
      }
    });
  }

  #changed(ownership: Ownership): void {
    for (const operation of this.#options.router.ofAccount(ownership.account)) {
      const { taken } = operation;
      if (taken === undefined || operation.routing) continue;
      if (ownership.assignments.some(({ agentId, epoch }) => agentId === taken.agentId && epoch === taken.epoch))
        continue;
      const { binding } = operation;
      if (binding === undefined || ownership.assignments.some((held) => isBoundTo(binding, held)))
        this.#again(operation);
      else if (ownership.assignments.some((held) => held.epoch > binding.epoch && isOfAnotherProcess(binding, held)))
        this.#replaced(operation, binding);
    }
  }

  #replaced(operation: Originated, { agentId }: Binding): void {
    const taken = this.#options.router.take(operation.id);
    if (taken === undefined) return;
    const { id, account } = operation;
    const message = `another process of agent ${agentId} replaced the one that was sent operation ${id}; the operation may have been executed`;
    this.#options.router.end(
      taken,
      'agent lost',
      new GatewayError('agent-lost', message, { operationId: id, account }),
    );
  }

  #again(operation: Originated): void {
    const { router, routing, logger, metrics } = this.#options;
    metrics.resent.inc();
    routing.route(operation).catch((thrown: unknown) => {
      const error = toGatewayError(thrown);
      logger.info(
        { operationId: operation.id, account: operation.account, error: error.message },
        'could not send the operation again',
      );
      if (!isReading(operation.type)) return;
      const taken = router.take(operation.id);
      if (taken === undefined) return;
      const lost = new GatewayError(
        'agent-lost',
        `the agent of account "${operation.account}" disconnected before it answered, and no other agent serves it`,
        { operationId: operation.id, account: operation.account, retryAfterMs: 1_000 },
      );
      router.end(taken, 'agent lost', lost);
    });
  }
}
