/**
 * Requests of the Kubernetes API between replicas: the entry sends them to the same path at the owner, with the caller's
 * identity as the API server will see it. The owner's own errors are marked, so that the entry can tell them from an API
 * server's.
 */

import { Pool } from 'undici';
import { reasonFor } from '../../core/connection-failure.js';
import { errorCodes, GatewayError, type ErrorCode } from '../../core/errors.js';
import type {
  Exchange,
  ExchangeEvents,
  HeaderList,
  HttpResponseHead,
  TunnelledRequest,
} from '../../tunnel/exchange.js';
import type { FirstPart } from '../../tunnel/gateway-tunnel.js';
import { startHttpExchange } from '../../tunnel/http-exchange.js';
import { forwardedByHeader, kubernetesApiPrefix, peerKeepAlive } from './forwarding.js';
import { digestOf, instanceTokenHeader, type InstanceCall } from './instance-tokens.js';
import type { PeerAddress, PeerTls } from './peer-address.js';
import { defaultSilenceLimits, PeerSilence, type SilenceLimits } from './peer-silence.js';

/** On every answer of an API server to a forwarded request: an instance of an older release, which does not know these paths, answers without. */
export const forwardedAnswerHeader = 'x-agent-gateway-forwarded';
/** On the owner's own errors: the code, whether nothing of the request has left it, and the text (percent-encoded). */
export const errorHeader = 'x-agent-gateway-error';
export const unsentHeader = 'x-agent-gateway-unsent';
export const errorTextHeader = 'x-agent-gateway-error-text';

/** A request for another replica. */
export interface ForwardedApiRequest extends TunnelledRequest {
  /** A watch or an upgraded connection, which keeps its connection to the peer for hours. */
  readonly lasting: boolean;
}

export interface ApiForwardingOptions {
  readonly address: PeerAddress;
  /** This instance. */
  readonly instanceId: string;
  readonly tls: () => PeerTls;
  readonly sign: ((receiver: string, call: InstanceCall) => string) | undefined;
  readonly silence?: SilenceLimits;
}

const connectTimeoutMs = 2_000;

/** The client of one other replica for these requests. */
export class ApiForwarding {
  readonly #options: ApiForwardingOptions;
  #requests: Pool;
  /** Apart from the others, whose search for a free connection would pass all of these. */
  #lasting: Pool;
  readonly #open = new Set<ForwardedExchange>();
  readonly #silence: PeerSilence;

  constructor(options: ApiForwardingOptions) {
    this.#options = options;
    this.#silence = new PeerSilence({
      limits: options.silence ?? defaultSilenceLimits,
      waiting: () => this.#open.size > 0,
      ask: async (timeoutMs) => {
        const limits = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs };
        const { body } = await this.#requests.request({ method: 'GET', path: '/healthz', ...limits });
        await body.dump();
      },
      onSilent: () => {
        const error = fellSilent(options.address);
        for (const exchange of [...this.#open]) exchange.fail(error);
      },
    });
    this.#requests = this.#createPool();
    this.#lasting = this.#createPool();
  }

  /**
   * Starts a request; onFailed() gets `not-owner` and the peer's other errors as they are, or `owner-unreachable`.
   * @throws GatewayError `owner-unreachable` if the peer has fallen silent
   */
  start(request: ForwardedApiRequest, first: FirstPart, events: ExchangeEvents): Exchange {
    const { address } = this.#options;
    this.#silence.look();
    if (this.#silence.silent) throw fellSilent(address);
    const target = `${kubernetesApiPrefix}${encodeURIComponent(request.account)}${request.target}`;
    const headers = [...request.headers, ...this.#proof(request, target)];
    const forwarded = new ForwardedExchange(events, address, this.#open, this.#silence);
    forwarded.exchange = startHttpExchange(
      request.lasting ? this.#lasting : this.#requests,
      {
        origin: address.baseUrl,
        head: { ...request, target, headers },
        first,
        failure: unreachable.bind(null, address),
      },
      forwarded,
    );
    return forwarded;
  }

  /** New connections use the current TLS options; requests under way end on the old connections. */
  renew(): void {
    const old = [this.#requests, this.#lasting];
    this.#requests = this.#createPool();
    this.#lasting = this.#createPool();
    for (const pool of old) void pool.close();
  }

  /** Breaks off everything. */
  async close(): Promise<void> {
    this.#silence.close();
    const { address } = this.#options;
    const error = new GatewayError('draining', 'this instance is stopping', { instanceId: address.id });
    for (const exchange of [...this.#open]) exchange.fail(error);
    await Promise.all([this.#requests.destroy(), this.#lasting.destroy()]);
  }

  #proof({ method, headers }: ForwardedApiRequest, path: string): string[] {
    const { address, instanceId, sign } = this.#options;
    const token = sign?.(address.id, { method, path, bodyDigest: headDigest(headers) });
    return [forwardedByHeader, instanceId, ...(token === undefined ? [] : [instanceTokenHeader, token])];
  }

  #createPool(): Pool {
    const { address, tls } = this.#options;
    return new Pool(address.baseUrl, {
      connections: null,
      pipelining: 1,
      connect: { ...tls(), timeout: connectTimeoutMs },
      ...peerKeepAlive,
    } satisfies Pool.Options);
  }
}

/**
 * What the token of a forwarded request covers beside method and path: as whom the API server will see the caller. Its
 * body, which has no end that could be waited for, is not covered.
 */
export function headDigest(headers: HeaderList): string {
  let text = '';
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = (headers[index] ?? '').toLowerCase();
    if (name.startsWith('impersonate-')) text += `${name}: ${headers[index + 1] ?? ''}\n`;
  }
  return digestOf(text);
}

/** Tells the owner's errors from an API server's answers. */
class ForwardedExchange implements Exchange, ExchangeEvents {
  exchange: Exchange | undefined;
  readonly #events: ExchangeEvents;
  readonly #address: PeerAddress;
  /** Those that wait for the peer. */
  readonly #open: Set<ForwardedExchange>;
  readonly #silence: PeerSilence;
  #upgraded = false;

  constructor(events: ExchangeEvents, address: PeerAddress, open: Set<ForwardedExchange>, silence: PeerSilence) {
    this.#events = events;
    this.#address = address;
    this.#open = open;
    this.#silence = silence;
    open.add(this);
  }

  write(data: Uint8Array): boolean {
    return this.exchange?.write(data) ?? true;
  }

  end(): void {
    this.exchange?.end();
  }

  consumed(bytes: number): void {
    this.exchange?.consumed(bytes);
  }

  cancel(message: string): void {
    this.#open.delete(this);
    this.exchange?.cancel(message);
  }

  /** The peer has fallen silent. */
  fail(error: GatewayError): void {
    this.cancel(error.message);
    this.#events.onFailed(error);
  }

  onResponse(head: HttpResponseHead): void {
    this.#silence.heard();
    this.#upgraded = head.status === 101;
    const error = ownErrorOf(head.headers, this.#address.id);
    if (error === undefined) {
      this.#events.onResponse(head);
      return;
    }
    this.cancel('the answer is an error of the peer');
    this.#events.onFailed(error);
  }

  onData(data: Uint8Array): void {
    this.#silence.heard();
    this.#events.onData(data);
  }

  onEnd(trailers: HeaderList): void {
    this.#silence.heard();
    // The other direction of an upgraded connection may go on, until it is cancelled or breaks.
    if (!this.#upgraded) this.#open.delete(this);
    this.#events.onEnd(trailers);
  }

  onDrain(): void {
    this.#events.onDrain();
  }

  onFailed(error: GatewayError): void {
    this.#open.delete(this);
    this.#events.onFailed(error);
  }
}

const codes: ReadonlySet<string> = new Set(errorCodes);

function ownErrorOf(headers: HeaderList, instanceId: string): GatewayError | undefined {
  let known = false;
  let code: string | undefined;
  let unsent = false;
  let text = '';
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const value = headers[index + 1] ?? '';
    switch ((headers[index] ?? '').toLowerCase()) {
      case forwardedAnswerHeader:
        known = true;
        break;
      case errorHeader:
        code = value;
        break;
      case unsentHeader:
        unsent = true;
        break;
      case errorTextHeader:
        text = value;
    }
  }
  if (code !== undefined) {
    // It is not the caller that is refused, but this instance: by one that has taken the address of another, say.
    if (code === 'permission-denied' || code === 'unauthenticated') {
      const message = `instance ${instanceId} refuses calls of this instance: ${readable(text)}`;
      return new GatewayError('owner-unreachable', message, { instanceId, unsent: true });
    }
    const ownCode = codes.has(code) ? (code as ErrorCode) : 'internal';
    return new GatewayError(ownCode, readable(text), { instanceId, unsent });
  }
  if (known) return undefined;
  const message = `instance ${instanceId}, to which the account's agent is connected, does not know the Kubernetes API: update it`;
  return new GatewayError('not-implemented', message, { instanceId, unsent: true });
}

function readable(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function fellSilent({ id, baseUrl }: PeerAddress): GatewayError {
  return new GatewayError('owner-unreachable', `instance ${id} at ${baseUrl} has fallen silent`, { instanceId: id });
}

function unreachable({ id, baseUrl }: PeerAddress, error: unknown, sent: boolean): GatewayError {
  const message = `instance ${id} at ${baseUrl} does not answer: ${reasonFor(error)}`;
  return new GatewayError('owner-unreachable', message, { cause: error, instanceId: id, unsent: !sent });
}
