/**
 * Fulfils requests for dynamic accounts on this instance: takes its turns (store/accounts/account-turns.ts), and asks the
 * agents whose streams it holds to serve an account or to stop serving it. Agents that connect later are asked in a
 * turn, too.
 */

import { unlessLate } from '../../core/deadline.js';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { jittered } from '../../core/retry.js';
import { Wakeup } from '../../core/wakeup.js';
import type { TurnOutcome } from '../../store/accounts/account-lifecycle.js';
import type { AccountTurns, DueAccount, Turn } from '../../store/accounts/account-turns.js';
import type { SessionFrames } from '../agents/session-frames.js';
import type { Session } from '../agents/session.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Definitions, OpenDefinition } from './definition.js';

export interface ReconcilerOptions {
  readonly instanceId: string;
  readonly turns: AccountTurns;
  /** The streams of this instance. */
  readonly sessions: () => Iterable<Session>;
  readonly frames: Pick<SessionFrames, 'addAccount' | 'deleteAccounts'>;
  readonly definitions: Pick<Definitions, 'open'>;
  /** How long an agent may take to start or stop serving an account, in ms. */
  readonly agentTimeoutMs: number;
  /** Time between two checks if there is nothing to do, in ms. */
  readonly pollMs: number;
  readonly maxAccountsPerAgent: number;
  /** An account was deleted. */
  readonly removed: (account: string) => void;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'accountTurns'>;
}

const concurrentTurns = 100;
const pageSize = 500;
const maximumMessageLength = 2_000;
const releaseTimeoutMs = 5_000;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** Streams whose agents were already checked. */
  readonly #known = new WeakSet<Session>();
  /** This instance's turns, by account. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** Accounts whose turn does not include an agent that connected meanwhile. */
  readonly #again = new Set<string>();
  readonly #wakeup = new Wakeup();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** There is a new request for an account: checks at once. */
  wake(): void {
    this.#wakeup.ring();
  }

  /** Runs until the signal aborts; turns under way are then given back. */
  async run(signal: AbortSignal): Promise<void> {
    const { turns, instanceId, pollMs, logger } = this.#options;
    while (!signal.aborted) {
      let busy = false;
      try {
        busy = await this.#look(signal);
      } catch (error) {
        if (!signal.aborted)
          logger.warn({ error: messageOf(error) }, 'could not look for due dynamic accounts; retrying');
      }
      if (!busy) await this.#wakeup.pause(jittered(pollMs, 0.2), signal);
    }
    await Promise.all(this.#underWay.values());
    await turns.release(instanceId, AbortSignal.timeout(releaseTimeoutMs)).catch(() => undefined);
  }

  /** @returns whether there may be more to do at once */
  async #look(signal: AbortSignal): Promise<boolean> {
    const { turns } = this.#options;
    await this.#welcome(signal);
    const free = concurrentTurns - this.#underWay.size;
    if (free <= 0) return false;
    const due = await turns.due(pageSize, signal);
    const mine = due.filter((account) => !account.waitsForMe || this.#concerns(account));
    const pass = due.filter((account) => !mine.includes(account)).map(({ name }) => name);
    // In this order, and never at the same time as welcome(): a pass must not undo a request of welcome().
    if (pass.length > 0) await turns.pass(pass, signal);
    const begun = await turns.begin(mine.slice(0, free), signal);
    for (const turn of begun) this.#underWay.set(turn.name, this.#take(turn, signal));
    return pass.length > 0 || begun.length > 0;
  }

  /** Requests turns for accounts that agents connected since the last check should serve and do not. */
  async #welcome(signal: AbortSignal): Promise<void> {
    const { turns } = this.#options;
    const fresh = this.#takers().filter((session) => !this.#known.has(session));
    for (const zone of new Set(fresh.map(({ identity }) => identity.zoneId))) {
      const sessions = fresh.filter(({ identity }) => identity.zoneId === zone);
      for (let after = ''; ;) {
        const page = await turns.ofZone(zone, after, pageSize, signal);
        const missing = page.filter(({ name, definitionVersion }) =>
          sessions.some((session) => session.accounts.get(name)?.dynamicVersion !== definitionVersion),
        );
        const names = missing.map(({ name }) => name);
        if (names.length > 0) await turns.join(names, signal);
        for (const name of names) if (this.#underWay.has(name)) this.#again.add(name);
        after = page.at(-1)?.name ?? '';
        if (page.length < pageSize) break;
      }
      for (const session of sessions) this.#known.add(session);
    }
  }

  #takers(): Session[] {
    return [...this.#options.sessions()].filter(
      (session) => session.state === 'active' && session.identity.dynamicAccounts && !session.leaving,
    );
  }

  /** Streams that should serve the account, whether they do or not. */
  #servers({ name, zoneId }: DueAccount): Session[] {
    return this.#takers().filter(
      ({ identity, peer }) =>
        (zoneId === '' || identity.zoneId === zoneId) && (peer === undefined || peer.mayHaveAccount(name)),
    );
  }

  /** Streams that serve the account and should not. */
  #leftovers({ name, aim, zoneId }: DueAccount): Session[] {
    return [...this.#options.sessions()].filter(
      (session) =>
        session.state === 'active' &&
        session.accounts.has(name) &&
        (aim === 'clear' || (zoneId !== '' && session.identity.zoneId !== zoneId)),
    );
  }

  #concerns(account: DueAccount): boolean {
    return (account.aim === 'serve' && this.#servers(account).length > 0) || this.#leftovers(account).length > 0;
  }

  async #take(turn: Turn, signal: AbortSignal): Promise<void> {
    const { turns, logger, metrics, removed } = this.#options;
    const { name, aim } = turn;
    const startedAt = performance.now();
    try {
      const outcome = await this.#act(turn, signal);
      if (signal.aborted) return;
      const { status, errorMessage } = await turns.finish(turn, outcome, signal);
      const tookMs = Math.round(performance.now() - startedAt);
      metrics.accountTurns.inc({ aim, end: status });
      if (status === 'DELETED') removed(name);
      const reason = outcome.message ?? errorMessage;
      const fields = { account: name, aim, status, tookMs, ...(reason === undefined ? {} : { reason }) };
      if (reason === undefined) logger.info(fields, 'dynamic account turn completed');
      else logger.warn(fields, 'dynamic account turn failed');
    } catch (error) {
      if (!signal.aborted)
        logger.warn({ account: name, error: messageOf(error) }, 'dynamic account turn lost; retrying later');
    } finally {
      this.#underWay.delete(name);
      if (this.#again.delete(name) && !signal.aborted) await turns.join([name], signal).catch(() => undefined);
      this.wake();
    }
  }

  async #act(turn: Turn, signal: AbortSignal): Promise<TurnOutcome> {
    const leftovers = this.#leftovers(turn);
    if (turn.aim === 'clear') return { served: false, message: await this.#clear(turn, leftovers, signal) };
    const refusal = await this.#serve(turn, signal);
    const kept = await this.#clear(turn, this.#leftovers(turn), signal);
    const served = this.#servers(turn).some((session) => holds(session, turn));
    return { served, message: [refusal, kept].find((message) => message !== undefined) };
  }

  /** @returns why some agents do not serve it, if so */
  async #serve(turn: Turn, signal: AbortSignal): Promise<string | undefined> {
    const { frames, definitions, maxAccountsPerAgent } = this.#options;
    const { name, definitionVersion: version } = turn;
    const targets = this.#servers(turn).filter((session) => !holds(session, turn));
    if (targets.length === 0) return undefined;
    let opened: OpenDefinition;
    try {
      opened = await definitions.open(name, turn.definition, signal);
    } catch (error) {
      if (error instanceof GatewayError) return error.message;
      throw error;
    }
    const { kubeconfig, kubeconfigFile, options, redact } = opened;
    const frame = frames.addAccount({ name, version, kubeconfig, kubeconfigFile, options });
    const full = targets.filter(({ accounts }) => accounts.size >= maxAccountsPerAgent && !accounts.has(name));
    const refusals = await Promise.all(
      targets.map(async (session) =>
        full.includes(session)
          ? `agent ${session.identity.agentId}: it already serves ${String(maxAccountsPerAgent)} accounts (kubesvc.grpc.server.maxAccountsPerAgent)`
          : this.#ask(session, name, version, frame, signal),
      ),
    );
    const messages = refusals.filter((message) => message !== undefined);
    return messages.length === 0 ? undefined : redact(messages.join('; ')).slice(0, maximumMessageLength);
  }

  /** @returns why some agents do not stop serving it, if so */
  async #clear({ name }: Turn, targets: readonly Session[], signal: AbortSignal): Promise<string | undefined> {
    const { frames } = this.#options;
    const refusals = await Promise.all(
      targets.map(async (session) =>
        session.accounts.get(name)?.dynamicVersion === undefined
          ? `agent ${session.identity.agentId}: account "${name}" is in the agent's own configuration`
          : this.#ask(session, name, 0, frames.deleteAccounts([name]), signal),
      ),
    );
    const messages = refusals.filter((message) => message !== undefined);
    return messages.length === 0 ? undefined : messages.join('; ').slice(0, maximumMessageLength);
  }

  /** @returns the agent's refusal; undefined if it complied or disconnected */
  async #ask(
    session: Session,
    name: string,
    version: number,
    frame: Uint8Array,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { agentTimeoutMs } = this.#options;
    const who = `agent ${session.identity.agentId}`;
    const answered = session.questions.ask(name, version);
    const stop = (): void => session.questions.forget(name);
    signal.addEventListener('abort', stop, { once: true });
    try {
      session.send(frame);
      const answer = await unlessLate(answered, agentTimeoutMs);
      if (answer === undefined) return `${who}: no answer within ${String(agentTimeoutMs)} ms`;
      return answer.kind === 'refused' ? `${who}: ${answer.message}` : undefined;
    } catch (error) {
      if (error instanceof GatewayError) return `${who}: ${error.message}`;
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      session.questions.forget(name);
    }
  }
}

function holds(session: Session, { name, definitionVersion }: DueAccount): boolean {
  return session.accounts.get(name)?.dynamicVersion === definitionVersion;
}
