/**
 * Which agent's session has which tunnel. A tunnel is opened when a request needs it, and ended when none has come for a
 * while: so an agent that nobody asks costs nothing. The gateway ends it, not the agent, so no request crosses the end.
 */

import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Exchange, ExchangeEvents, TunnelledRequest } from '../../tunnel/exchange.js';
import type { FirstPart, GatewayTunnel } from '../../tunnel/gateway-tunnel.js';
import { requestKind, type OpenByKind } from '../../tunnel/request-kind.js';
import { isWatch } from '../../tunnel/watch-request.js';
import type { SessionFrames } from '../agents/session-frames.js';
import type { Session } from '../agents/session.js';
import { withoutRoom } from './room.js';
import { WaitingExchange } from './waiting-exchange.js';

export interface AgentTunnelsOptions {
  readonly frames: Pick<SessionFrames, 'openKubernetesApi'>;
  readonly limits?: Partial<AgentTunnelsLimits>;
}

export interface AgentTunnelsLimits {
  /** Open and waiting requests of one agent. */
  readonly maxRequestsPerAgent: number;
  /** For an agent to open its stream, in ms. */
  readonly openTimeoutMs: number;
  /** A tunnel without requests ends after this time, or up to twice as long, in ms. */
  readonly idleMs: number;
  /** How long the requests of an agent that has connected elsewhere may go on, in ms. */
  readonly leavingMs: number;
}

const defaultTunnelLimits: AgentTunnelsLimits = {
  maxRequestsPerAgent: 10_000,
  openTimeoutMs: 5_000,
  idleMs: 30_000,
  leavingMs: 3_600_000,
};

/** How often it is looked whether the last request of an agent that has left is done, in ms. */
const leavingLookMs = 1_000;

/** A tunnel with the stream below it. */
export interface AttachedTunnel {
  readonly tunnel: GatewayTunnel;
  /** Ends the stream, with the error's status or with OK. */
  readonly end: (error?: GatewayError) => void;
}

interface SessionTunnel {
  attached: AttachedTunnel | undefined;
  /** Requests that wait for the agent's stream. */
  readonly waiting: Set<WaitingExchange>;
  /** While requests wait: the open time-out. While the tunnel is open: looks for idleness. */
  timer: NodeJS.Timeout | undefined;
  /** A request was opened since the timer last looked. */
  used: boolean;
  /** The session has ended, and its requests go on: when they must end, by performance.now(). */
  leavingUntil: number | undefined;
}

export class AgentTunnels {
  readonly #frames: AgentTunnelsOptions['frames'];
  readonly #limits: AgentTunnelsLimits;
  /** Only of sessions with a tunnel, or with requests that wait for one. */
  readonly #sessions = new Map<Session, SessionTunnel>();

  constructor({ frames, limits }: AgentTunnelsOptions) {
    this.#frames = frames;
    this.#limits = { ...defaultTunnelLimits, ...limits };
  }

  /** Requests that are open, or wait for a stream. */
  get openCount(): number {
    let count = 0;
    for (const held of this.#sessions.values()) count += requestsOf(held);
    return count;
  }

  /** Requests that wait for an agent to open its stream. */
  get waitingCount(): number {
    let count = 0;
    for (const { waiting } of this.#sessions.values()) count += waiting.size;
    return count;
  }

  /** Open streams of agents. */
  get tunnelCount(): number {
    let count = 0;
    for (const { attached } of this.#sessions.values()) if (attached !== undefined) count += 1;
    return count;
  }

  /** Open requests by account, without those that wait for a stream. */
  get openByAccount(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { attached } of this.#sessions.values()) {
      for (const { account } of attached?.tunnel.requests ?? []) counts.set(account, (counts.get(account) ?? 0) + 1);
    }
    return counts;
  }

  /** Whether moving the agent elsewhere would disturb a request: any but a watch, whose caller resumes it. */
  busy(session: Session): boolean {
    const held = this.#sessions.get(session);
    if (held === undefined) return false;
    return held.waiting.size > 0 || (held.attached?.tunnel.requests ?? []).some((request) => !isWatch(request));
  }

  /**
   * Sends a request to an agent; the events come after this has returned.
   * @throws GatewayError, always unsent: `not-implemented` if the agent is too old; `overloaded`; `no-agent` if the session
   *   has ended
   */
  open(session: Session, request: TunnelledRequest, first: FirstPart, events: ExchangeEvents): Exchange {
    const { account } = request;
    const { maxRequestsPerAgent, openTimeoutMs } = this.#limits;
    if (session.state !== 'active') {
      const message = `the agent of account "${account}" has just disconnected`;
      throw new GatewayError('no-agent', message, { account, unsent: true, retryAfterMs: openTimeoutMs });
    }
    const { agentId, version, kubernetesApi } = session.agent;
    if (!kubernetesApi) {
      const message = `agent ${agentId} (version ${version}) does not know the Kubernetes API: update it`;
      throw new GatewayError('not-implemented', message, { account, agentId, unsent: true });
    }
    const held = this.#held(session);
    const full = withoutRoom(requestKind(request), openByKind(held), maxRequestsPerAgent);
    if (full !== undefined) {
      const message = `agent ${agentId} has ${full} of the Kubernetes API under way (kubesvc.kubernetesApi.maxRequestsPerAgent: ${String(maxRequestsPerAgent)}); try again later`;
      throw new GatewayError('overloaded', message, { account, agentId, unsent: true, retryAfterMs: 1_000 });
    }
    held.used = true;
    if (held.attached !== undefined) return held.attached.tunnel.open(request, first, events);
    this.#ask(session, held);
    const waiting: WaitingExchange = new WaitingExchange(request, first, events, () => held.waiting.delete(waiting));
    held.waiting.add(waiting);
    return waiting;
  }

  /**
   * An agent has opened its stream. It replaces an older one, whose requests fail.
   * @throws GatewayError `permission-denied` if the session is not active
   */
  attach(session: Session, attached: AttachedTunnel): void {
    if (session.state !== 'active')
      throw new GatewayError('permission-denied', 'hello: the session that it names has ended', { field: 'hello' });
    const held = this.#held(session);
    const older = held.attached;
    held.attached = attached;
    held.used = true;
    clearTimeout(held.timer);
    this.#watchIdleness(session, held);
    if (older !== undefined) end(older, new GatewayError('replaced', 'the agent has opened another stream'));
    const waiting = [...held.waiting];
    held.waiting.clear();
    for (const each of waiting) each.attach(attached.tunnel);
  }

  /** The stream has ended: its requests fail. */
  detach(session: Session, attached: AttachedTunnel, error: GatewayError): void {
    const held = this.#sessions.get(session);
    if (held?.attached === attached) this.#drop(session, held, error);
    else end(attached, error);
  }

  /** Ends the streams of sessions that have ended and whose principals are no longer allowed in. */
  reauthorize(): void {
    for (const [session, held] of [...this.#sessions]) {
      if (held.leavingUntil === undefined) continue;
      try {
        session.principal?.reauthorize();
      } catch (error) {
        this.#drop(session, held, toGatewayError(error));
      }
    }
  }

  /** Ends all streams, and fails their requests. */
  stop(error: GatewayError): void {
    for (const [session, held] of [...this.#sessions]) this.#drop(session, held, error);
  }

  #held(session: Session): SessionTunnel {
    const known = this.#sessions.get(session);
    if (known !== undefined) return known;
    const held: SessionTunnel = {
      attached: undefined,
      waiting: new Set(),
      timer: undefined,
      used: false,
      leavingUntil: undefined,
    };
    this.#sessions.set(session, held);
    session.onClosed((error) => {
      this.#sessionClosed(session, error);
    });
    return held;
  }

  #ask(session: Session, held: SessionTunnel): void {
    if (held.timer !== undefined) return;
    session.send(this.#frames.openKubernetesApi());
    const { openTimeoutMs } = this.#limits;
    held.timer = setTimeout(() => {
      const { agentId } = session.agent;
      const message = `agent ${agentId} did not open its stream for the Kubernetes API within ${String(openTimeoutMs)} ms`;
      this.#drop(session, held, new GatewayError('no-agent', message, { agentId, retryAfterMs: openTimeoutMs }));
    }, openTimeoutMs);
  }

  #watchIdleness(session: Session, held: SessionTunnel): void {
    const { idleMs } = this.#limits;
    held.timer = setTimeout(
      () => {
        const { attached, used, leavingUntil } = held;
        held.used = false;
        const idle = attached?.tunnel.openCount === 0;
        if (idle && (!used || leavingUntil !== undefined)) this.#drop(session, held);
        else if (leavingUntil !== undefined && performance.now() >= leavingUntil)
          this.#drop(session, held, new GatewayError('agent-lost', 'the agent has connected to another instance'));
        else this.#watchIdleness(session, held);
      },
      held.leavingUntil === undefined ? idleMs : Math.min(idleMs, leavingLookMs),
    );
  }

  /** If the agent has connected elsewhere, in order, its requests here go on. */
  #sessionClosed(session: Session, error: GatewayError | undefined): void {
    const held = this.#sessions.get(session);
    if (held === undefined) return;
    if (held.attached !== undefined && (error === undefined || error.code === 'replaced')) {
      // Nothing new comes for it. The agent waits until the stream ends here, since requests may be on their way to it.
      held.leavingUntil = performance.now() + this.#limits.leavingMs;
      clearTimeout(held.timer);
      if (held.attached.tunnel.openCount === 0) this.#drop(session, held);
      else this.#watchIdleness(session, held);
      return;
    }
    const { agentId } = session.agent;
    const message = `agent ${agentId} has disconnected: ${error?.message ?? 'it ended its stream'}`;
    const code = error?.code === 'draining' ? 'draining' : 'agent-lost';
    this.#drop(session, held, new GatewayError(code, message, { agentId, retryAfterMs: this.#limits.openTimeoutMs }));
  }

  /** @param error absent: the stream is not needed any more */
  #drop(session: Session, held: SessionTunnel, error?: GatewayError): void {
    this.#sessions.delete(session);
    clearTimeout(held.timer);
    if (held.attached !== undefined) end(held.attached, error);
    const waiting = [...held.waiting];
    held.waiting.clear();
    for (const each of waiting) each.fail(error ?? unused);
  }
}

const unused = new GatewayError('agent-lost', 'the stream of the agent is not needed any more');

function requestsOf({ attached, waiting }: SessionTunnel): number {
  return waiting.size + (attached?.tunnel.openCount ?? 0);
}

function openByKind({ attached, waiting }: SessionTunnel): OpenByKind {
  if (waiting.size === 0 && attached !== undefined) return attached.tunnel.openByKind;
  const open = { request: 0, watch: 0, upgrade: 0, ...attached?.tunnel.openByKind };
  for (const { kind } of waiting) open[kind] += 1;
  return open;
}

/** Requests fail as `agent-lost`, or `draining`: what ended the stream is not of their doing. */
function end(attached: AttachedTunnel, error: GatewayError | undefined): void {
  const { code, message, details } = error ?? unused;
  attached.tunnel.close(new GatewayError(code === 'draining' ? code : 'agent-lost', message, details));
  attached.end(error);
}
