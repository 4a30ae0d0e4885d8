/**
 * One agent's stream, as the gateway sees it. Knows nothing of gRPC: grpc/operations-service.ts gives it a transport.
 *
 * States:
 * - `waiting`: the stream is open, its Registration has not come; it ends after the handshake time-out.
 * - `registering`: the registry is writing the claims; the stream is paused, so nothing else is read of it.
 * - `active`: operations are delivered and results taken.
 * - `closed`: final. Operations that were in flight are left to their originating instances (operations/recovery.ts).
 *
 * Two limits bound what it sends: operations in flight, and frames that wait because the agent does not read. Receipts
 * are never refused; the gateway stops reading from an agent that does not read them, so they are bounded as well.
 */

import { GatewayError } from '../../core/errors.js';
import { receiptsFrame } from '../../protocol/wire.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import { cachingGraceMs } from './caching-assignment/grace.js';
import { AccountQuestions } from './account-questions.js';
import type { AgentPrincipal } from './principal.js';

/** The stream below a session. */
export interface AgentTransport {
  /** Address of the agent, for logs. */
  readonly address: string;
  /** @returns false if the agent does not keep up: send nothing more until the session's drained() is called */
  write(frame: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Ends the stream, with the error's status or with OK. */
  end(error?: GatewayError): void;
}

export type SessionState = 'waiting' | 'registering' | 'active' | 'closed';

/** An operation that was sent to the agent and has not been answered. */
export interface InFlight {
  readonly account: string;
  readonly originatingInstanceId: string;
  /** '' for none. */
  readonly traceparent: string;
  readonly processedTime: number;
  readonly sentTime: number;
  /** When it was sent, by performance.now(). */
  readonly sentAt: number;
  /** When this instance forgets it, likewise. */
  readonly expiresAt: number;
}

export interface SessionLimits {
  readonly maxInFlight: number;
  readonly queueLimit: number;
}

/** What the agent registered as. */
export interface RegisteredAgent {
  readonly agentId: string;
  readonly zoneId: string;
  readonly version: string;
  readonly epoch: number;
  /** Its process; absent: the agent did not send it. */
  readonly processId?: string;
  /** Whether it takes dynamic accounts. */
  readonly dynamicAccounts: boolean;
  /** Whether it takes requests of the Kubernetes API. */
  readonly kubernetesApi: boolean;
}

/** A queue of large operations is full before it reaches its number of frames; a single frame always fits. */
const queueBytesLimit = 32 << 20;
/** How long receipts are gathered, in ms: sent one by one they would cost as much as the operations themselves. */
const receiptGatherMs = 100;
/** When this many receipts wait because the agent does not read, nothing more is read from it. */
const receiptLimit = 1_000;

export class Session {
  readonly transport: AgentTransport;
  /** Undefined: authentication is off. */
  readonly principal: AgentPrincipal | undefined;
  /** When the stream was opened, by this session's clock. */
  readonly connectedAt: number;
  /** Accounts that this stream serves, as the agent described them. */
  readonly accounts = new Map<string, AccountRegistration>();
  /** Accounts that the agent was told to cache. */
  readonly caching = new Set<string>();
  /** Open questions to the agent about dynamic accounts. */
  readonly questions = new AccountQuestions();
  /** When something was last heard from the agent, by this session's clock. */
  lastHeard: number;
  /** When something was last written to the agent, likewise. */
  lastSent: number;
  /** Whether the agent has ever answered a ping; one that never did is judged by HTTP/2 keepalive alone. */
  answersPings = false;
  /** Set after the agent was asked to dial again: it is then chosen last. */
  leaving = false;
  /** Accounts that another agent serves, too; mostly none. */
  #shared: Set<string> | undefined;
  #pingedAt = 0;
  /** Silence after which the agent gives up: as it knows it, and as the last ping told it, in ms. */
  #silenceMs = 0;
  #toldSilenceMs = 0;
  #state: SessionState = 'waiting';
  #agent: RegisteredAgent | undefined;
  readonly #limits: SessionLimits;
  readonly #now: () => number;
  readonly #inFlight = new Map<string, InFlight>();
  #queue: Uint8Array[] = [];
  #queueBytes = 0;
  #writable = true;
  #receipts: Uint8Array[] = [];
  #receiptTimer: NodeJS.Timeout | undefined;
  #reading = true;
  #answering = 0;
  #onClosed: ((error: GatewayError | undefined) => void) | undefined;

  /** @param now a clock that only goes forward, in ms: performance.now(), but for tests */
  constructor(transport: AgentTransport, limits: SessionLimits, now: () => number, principal?: AgentPrincipal) {
    this.transport = transport;
    this.principal = principal;
    this.connectedAt = now();
    this.lastHeard = this.connectedAt;
    this.lastSent = this.connectedAt;
    this.#limits = limits;
    this.#now = now;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** @throws Error before the registration, which is a fault of ours */
  get agent(): RegisteredAgent {
    if (this.#agent === undefined) throw new Error('session is not registered');
    return this.#agent;
  }

  get registered(): boolean {
    return this.#agent !== undefined;
  }

  /** When the agent was last pinged, by this session's clock; 0: never. */
  get pingedAt(): number {
    return this.#pingedAt;
  }

  /** Whether another agent serves one of its accounts, too. */
  get sharing(): boolean {
    return this.#shared !== undefined && this.#shared.size > 0;
  }

  /** How long its agent may go on caching from now on if it hears nothing more, in ms. */
  get cachingGraceMs(): number {
    return Math.max(0, cachingGraceMs(this.#silenceMs) - (this.#now() - this.lastSent));
  }

  /** Since its stream was opened, in ms. */
  get ageMs(): number {
    return this.#now() - this.connectedAt;
  }

  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Frames that wait because the agent does not read. */
  get queueLength(): number {
    return this.#writable ? 0 : this.#queue.length;
  }

  /** waiting → registering */
  registering(): void {
    this.#state = 'registering';
    this.transport.pause();
  }

  /** Notes whether another agent serves the account, too. */
  share(account: string, shared: boolean): void {
    if (shared) (this.#shared ??= new Set()).add(account);
    else this.#shared?.delete(account);
  }

  /**
   * Pings the agent.
   * @param silenceMs what the ping says: after so long without a message the agent gives up
   */
  ping(frame: Uint8Array, silenceMs: number): void {
    this.#pingedAt = this.#now();
    this.#toldSilenceMs = silenceMs;
    // Until it has answered, it may only know the earlier value.
    this.#silenceMs = Math.max(this.#silenceMs, silenceMs);
    this.send(frame);
  }

  /** The agent has answered a ping. */
  ponged(): void {
    this.answersPings = true;
    this.#silenceMs = this.#toldSilenceMs;
  }

  /** registering → active */
  activate(agent: RegisteredAgent): void {
    this.#agent = agent;
    this.#state = 'active';
    this.transport.resume();
  }

  /** Has `closed` called when the session ends; there is one such listener. */
  onClosed(closed: (error: GatewayError | undefined) => void): void {
    this.#onClosed = closed;
  }

  /**
   * Any state → closed, once.
   * @returns false when it was closed already
   */
  close(error?: GatewayError): boolean {
    if (this.#state === 'closed') return false;
    this.#flush();
    this.#sendReceipts();
    this.#state = 'closed';
    clearTimeout(this.#receiptTimer);
    this.#receipts = [];
    this.#queue = [];
    this.#queueBytes = 0;
    this.#inFlight.clear();
    this.questions.end();
    this.transport.end(error);
    this.#onClosed?.(error);
    return true;
  }

  /**
   * Sends an operation and remembers it until its result comes.
   * @throws GatewayError `overloaded` when the agent has too many already, or does not read
   */
  deliver(operationId: string, frame: Uint8Array, inFlight: InFlight): void {
    // An agent drops an operation that is sent again (because it came back, or the first sender lost the answer).
    if (!this.#inFlight.has(operationId) && this.#inFlight.size >= this.#limits.maxInFlight) {
      throw this.#overloaded(
        `agent ${this.agent.agentId} has ${String(this.#inFlight.size)} operations under way`,
        operationId,
      );
    }
    this.send(frame, operationId);
    this.#inFlight.set(operationId, inFlight);
  }

  /**
   * Sends a frame, or queues it while the agent does not read.
   * @throws GatewayError `overloaded` when the queue is full
   */
  send(frame: Uint8Array, operationId?: string): void {
    if (this.#state === 'closed') return;
    // Frames of one turn of the event loop are sent together; if more would wait than the limit allows, they are sent
    // at once.
    if (this.#writable && this.#full(frame.length)) this.#flush();
    if (this.#full(frame.length)) {
      throw this.#overloaded(
        `agent ${this.#agent?.agentId ?? this.transport.address} is not reading its stream`,
        operationId,
      );
    }
    this.#queue.push(frame);
    this.#queueBytes += frame.length;
    if (this.#writable && this.#queue.length === 1) setImmediate(this.#flush);
  }

  /**
   * A result has come, and replied() will follow.
   * @returns false if too many results of this agent are already under way: the agent keeps this one and sends it again
   */
  answering(): boolean {
    const { maxInFlight, queueLimit } = this.#limits;
    if (this.#answering >= maxInFlight + queueLimit) return false;
    this.#answering += 1;
    return true;
  }

  /** A result was processed. @param receipt for the agent; absent: none is sent, so that the agent keeps the result */
  replied(receipt: Uint8Array | undefined): void {
    this.#answering -= 1;
    if (receipt === undefined || this.#state === 'closed') return;
    this.#receipts.push(receipt);
    this.#receiptTimer ??= setTimeout(() => {
      this.#receiptTimer = undefined;
      this.#sendReceipts();
    }, receiptGatherMs);
    if (this.#receipts.length < receiptLimit || !this.#reading) return;
    this.#sendReceipts();
    if (this.#receipts.length === 0) return;
    this.#reading = false;
    this.transport.pause();
  }

  /** The transport takes frames again. */
  drained(): void {
    this.#writable = true;
    this.#flush();
    if (!this.#reading || this.#receiptTimer === undefined) this.#sendReceipts();
  }

  readonly #flush = (): void => {
    let sent = 0;
    while (this.#writable && sent < this.#queue.length) {
      const frame = this.#queue[sent] as Uint8Array;
      this.#write(frame);
      this.#queueBytes -= frame.length;
      sent += 1;
    }
    if (sent === this.#queue.length) this.#queue.length = 0;
    else this.#queue.splice(0, sent);
  };

  #sendReceipts(): void {
    if (!this.#writable || this.#receipts.length === 0) return;
    this.#write(receiptsFrame(this.#receipts));
    this.#receipts = [];
    if (this.#reading) return;
    this.#reading = true;
    this.transport.resume();
  }

  /** The operation that a result answers; undefined when it was not sent on this stream, or is forgotten. */
  take(operationId: string): InFlight | undefined {
    const inFlight = this.#inFlight.get(operationId);
    if (inFlight !== undefined) this.#inFlight.delete(operationId);
    return inFlight;
  }

  /** Takes over what the agent's older stream on this instance had under way: its results will come here. */
  adopt(older: Session): void {
    for (const [id, inFlight] of older.#inFlight) this.#inFlight.set(id, inFlight);
  }

  /** Forgets operations whose time is over: their originating instances have long answered. */
  forgetExpired(now: number): void {
    if (this.#inFlight.size === 0) return;
    for (const [id, { expiresAt }] of this.#inFlight) if (expiresAt <= now) this.#inFlight.delete(id);
  }

  #write(frame: Uint8Array): void {
    this.lastSent = this.#now();
    this.#writable = this.transport.write(frame);
  }

  #full(moreBytes: number): boolean {
    const { length } = this.#queue;
    return length >= this.#limits.queueLimit || (length > 0 && this.#queueBytes + moreBytes > queueBytesLimit);
  }

  #overloaded(message: string, operationId: string | undefined): GatewayError {
    return new GatewayError('overloaded', `${message}; try again later`, {
      retryAfterMs: 1_000,
      ...(operationId === undefined ? {} : { operationId }),
    });
  }
}
