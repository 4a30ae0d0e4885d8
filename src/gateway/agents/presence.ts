/**
 * Writes which agents are connected here, and which have left and why, to the database, where all instances read it. Off
 * the way of registrations: what changes is gathered, and written by few statements, however many agents come or go.
 */

import { messageOf, type GatewayError } from '../../core/errors.js';
import { batches } from '../../core/batches.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { backoffMs, defaultBackoff } from '../../core/retry.js';
import type { AgentPresence, DepartureReason } from '../../store/presence/presence-record.js';
import type { PresenceStore } from '../../store/presence/presence.js';
import type { Session } from './session.js';

export interface PresenceOptions {
  readonly instanceId: string;
  readonly store: Pick<PresenceStore, 'write' | 'refused'>;
  /** For one statement, in ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** The clock of the sessions, in ms. */
  readonly now: () => number;
}

/** How long changes gather, in ms. */
const gatherMs = 500;
const rowsAtATime = 1_000;
/** Names of accounts in one statement, a few MB: an agent may have very many. */
const accountsAtATime = 20_000;
/** Agents whose changes wait while the database does not answer: beyond, the oldest are lost. */
const maxWaiting = 100_000;
/** As registration-request.ts has it. */
const longestId = 253;

interface Departure {
  readonly accounts: readonly string[];
  readonly time: number;
  readonly reason: DepartureReason;
  readonly message: string | undefined;
}

interface Change {
  readonly session: Session;
  /** Absent: it is connected. */
  readonly departure?: Departure;
}

export class Presence {
  readonly #options: PresenceOptions;
  /** The newest change of each agent. */
  readonly #changes = new Map<string, Change>();
  readonly #refusals = new Map<string, string>();
  #writing: Promise<void> = Promise.resolve();

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** The agent is registered here, or serves other accounts than before. */
  connected(session: Session): void {
    this.#refusals.delete(session.agent.agentId);
    this.#change({ session });
  }

  /**
   * The stream of a registered agent has ended.
   * @param error undefined: the agent ended it by itself
   */
  left(session: Session, accounts: readonly string[], error: GatewayError | undefined): void {
    const reason = departureReason(session, error);
    const message = error?.message;
    this.#change({ session, departure: { accounts, time: this.#options.now(), reason, message } });
  }

  /** A registration under this id was refused: if the agent is offline, that is why it stays so. */
  refused(agentId: string, error: GatewayError): void {
    // These agents are told to come back later.
    if (error.code === 'overloaded' || error.code === 'draining' || error.code === 'dependency-unavailable') return;
    if (agentId.length <= longestId && this.#refusals.size < maxWaiting) this.#refusals.set(agentId, error.message);
  }

  /** Writes changes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    const pauseMs = (): number => (failures === 0 ? gatherMs : backoffMs(defaultBackoff, failures));
    const failed = (error: unknown): void => {
      if (failures === 0)
        this.#options.logger.warn({ error: messageOf(error) }, 'could not write which agents are here; retrying');
      failures += 1;
    };
    await repeat({ pauseMs, failed }, signal, async () => {
      await this.flush();
      failures = 0;
    });
  }

  /** Writes the last changes. */
  async stop(): Promise<void> {
    await this.flush().catch((error: unknown) => {
      this.#options.logger.warn({ error: messageOf(error) }, 'could not write which agents have left');
    });
  }

  /** Writes what has changed until now. @throws GatewayError of the database; then what was not written is kept */
  flush(): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const { store, timeoutMs } = this.#options;
    for (const batch of this.#batches([...this.#changes])) {
      await store.write(
        batch.map(([, change]) => this.#toPresence(change)),
        AbortSignal.timeout(timeoutMs),
      );
      // A change that came meanwhile stays.
      for (const [agentId, change] of batch) if (this.#changes.get(agentId) === change) this.#changes.delete(agentId);
    }
    const refusals = [...this.#refusals].map(([agentId, message]) => ({ agentId, message }));
    if (refusals.length === 0) return;
    this.#refusals.clear();
    await store.refused(refusals, AbortSignal.timeout(timeoutMs));
  }

  *#batches(changes: readonly [string, Change][]): Generator<readonly [string, Change][]> {
    for (const rows of batches(changes, rowsAtATime)) {
      let batch: [string, Change][] = [];
      let names = 0;
      for (const entry of rows) {
        const [, { session, departure }] = entry;
        names += departure?.accounts.length ?? session.accounts.size;
        if (names > accountsAtATime && batch.length > 0) {
          yield batch;
          batch = [];
          names = departure?.accounts.length ?? session.accounts.size;
        }
        batch.push(entry);
      }
      yield batch;
    }
  }

  #toPresence({ session, departure }: Change): AgentPresence {
    const { instanceId, now } = this.#options;
    const { agentId, zoneId, version, epoch } = session.agent;
    const time = now();
    return {
      agentId,
      zoneId,
      version,
      instanceId,
      epoch,
      accounts: departure?.accounts ?? [...session.accounts.keys()],
      connectedMsAgo: time - session.connectedAt,
      ...(departure === undefined
        ? {}
        : {
            gone: { msAgo: time - departure.time, reason: departure.reason, message: departure.message },
          }),
    };
  }

  #change(change: Change): void {
    const { agentId, epoch } = change.session.agent;
    const known = this.#changes.get(agentId);
    // The older stream of an agent ends after the newer one has registered.
    if (known !== undefined && known.session.agent.epoch > epoch) return;
    this.#changes.delete(agentId);
    this.#changes.set(agentId, change);
    const [oldest] = this.#changes.keys();
    if (this.#changes.size > maxWaiting && oldest !== undefined) this.#changes.delete(oldest);
  }
}

function departureReason({ leaving }: Session, error: GatewayError | undefined): DepartureReason {
  switch (error?.code) {
    case undefined:
      return leaving ? 'did not return' : 'said goodbye';
    case 'agent-lost':
      return 'connection lost';
    case 'cancelled':
      return error.details.agentId === undefined ? 'connection lost' : 'disconnected on request';
    case 'draining':
      return 'instance stopped';
    case 'replaced':
      return 'replaced';
    case 'unauthenticated':
    case 'permission-denied':
      return 'refused';
    default:
      return 'error';
  }
}
