/** Writes accounts to Clouddriver, some at a time; one that is refused is tried again with growing pauses. */

import { createHash } from 'node:crypto';
import { toGatewayError, type GatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { backoffMs } from '../../core/retry.js';
import type { ClouddriverState } from '../../store/accounts/clouddriver-account-record.js';
import type { Metrics } from '../telemetry/metrics.js';
import { isMadeBy, type AccountStep } from './account-plan.js';
import type { ClouddriverStorage, StorageRefusal } from './clouddriver-storage.js';

export interface AccountWritesOptions {
  readonly gateways: string;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'clouddriver'>;
}

/** What became of an account. */
export interface AccountOutcome {
  readonly state: ClouddriverState;
  readonly message?: string | undefined;
}

interface Attempt {
  /** Of what was written. */
  readonly digest: string;
  readonly count: number;
  /** No other attempt to write the same before, in ms that never jump. */
  readonly notBefore: number;
  readonly outcome: AccountOutcome;
}

type Write = Exclude<AccountStep, { readonly step: 'none' }>;

const concurrency = 8;
const again = { initialMs: 2_000, maximumMs: 60_000, multiplier: 2, jitter: 0.2 };
const slash =
  'its name contains "/", so Clouddriver cannot delete it: when it is gone, remove it from the table accounts of Clouddriver\'s database';

export class AccountWrites {
  readonly #options: AccountWritesOptions;
  /** The last write of accounts that are not yet as they should be. */
  readonly #attempts = new Map<string, Attempt>();
  #failure: GatewayError | undefined;

  constructor(options: AccountWritesOptions) {
    this.#options = options;
  }

  /** Why perform() left out the rest of the writes: Clouddriver was away; undefined: it did all. */
  get failure(): GatewayError | undefined {
    return this.#failure;
  }

  /**
   * @returns what became of each account, but for those that were left out
   * @throws GatewayError `cancelled`: the lock is lost; the reason of the signal
   */
  async perform(
    steps: ReadonlyMap<string, AccountStep>,
    storage: ClouddriverStorage,
    signal: AbortSignal,
  ): Promise<Map<string, AccountOutcome>> {
    this.#failure = undefined;
    const outcomes = new Map<string, AccountOutcome>();
    const writes: (readonly [string, Write])[] = [];
    for (const name of this.#attempts.keys()) if (!steps.has(name)) this.#attempts.delete(name);
    for (const [name, step] of steps) {
      if (step.step !== 'none') writes.push([name, step]);
      else {
        this.#attempts.delete(name);
        const { state, message = noteOn(name, state) } = step;
        outcomes.set(name, { state, message });
      }
    }
    const queue = writes.values();
    const work = async (): Promise<void> => {
      for (const [name, step] of queue) {
        if (this.#failure !== undefined) return;
        try {
          const outcome = await this.#attempt(name, step, storage, signal);
          if (outcome !== undefined) outcomes.set(name, outcome);
        } catch (error) {
          this.#failure ??= toGatewayError(error);
        }
      }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    signal.throwIfAborted();
    if (this.failure?.code === 'cancelled') throw this.failure;
    return outcomes;
  }

  /** @returns undefined: it is deleted */
  async #attempt(
    name: string,
    step: Write,
    storage: ClouddriverStorage,
    signal: AbortSignal,
  ): Promise<AccountOutcome | undefined> {
    const digest = digestOf(step);
    const last = this.#attempts.get(name);
    const same = last?.digest === digest;
    if (same && performance.now() < last.notBefore) return last.outcome;
    const { logger, metrics } = this.#options;
    const written = await this.#write(name, step, storage, signal);
    const refusal = written === 'conflict' ? undefined : written;
    metrics.clouddriver.writes.inc({ write: step.step, outcome: written === undefined ? 'done' : 'refused' });
    if (written === undefined) logger.info({ account: name, write: step.step }, 'account written to Clouddriver');
    if (written === undefined && step.step === 'delete') {
      this.#attempts.delete(name);
      return undefined;
    }
    const count = same ? last.count + 1 : 0;
    const outcome = written === undefined ? registered(name) : refused(name, step, refusal);
    this.#attempts.set(name, { digest, count, outcome, notBefore: performance.now() + backoffMs(again, count) });
    return outcome;
  }

  /** Looks once more at what it overwrites or deletes: another may have made it since. */
  async #write(
    name: string,
    step: Write,
    storage: ClouddriverStorage,
    signal: AbortSignal,
  ): Promise<StorageRefusal | 'conflict'> {
    if (step.step === 'create') return storage.create(step.definition, signal);
    const there = await storage.find(name, signal);
    if (there === undefined) return step.step === 'delete' ? undefined : storage.create(step.definition, signal);
    if (!isMadeBy(this.#options.gateways, there)) return 'conflict';
    return step.step === 'save' ? storage.save(step.definition, signal) : storage.delete(name, signal);
  }
}

function registered(name: string): AccountOutcome {
  return { state: 'registered', message: noteOn(name, 'registered') };
}

function noteOn(name: string, state: ClouddriverState): string | undefined {
  return state === 'registered' && name.includes('/') ? slash : undefined;
}

function refused(name: string, step: Write, refusal: StorageRefusal): AccountOutcome {
  const message = refusal?.message ?? 'another made an account of this name at Clouddriver meanwhile';
  if (step.step === 'delete' && name.includes('/')) return { state: 'refused', message: `${slash} (${message})` };
  const exists = step.step === 'create' && /already exists/u.test(message);
  return exists
    ? {
        state: 'conflict',
        message: `${message}. It is not in the account store, or the user of spinnaker.clouddriver may not see it: remove it from Clouddriver's configuration, or rename one of the two`,
      }
    : { state: refusal === undefined ? 'conflict' : 'refused', message };
}

function digestOf(step: Write): string {
  return createHash('sha256').update(JSON.stringify(step)).digest('hex');
}
