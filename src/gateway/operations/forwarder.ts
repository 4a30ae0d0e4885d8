/**
 * The REST client to other instances: forwards operations to their owners and results to their originators.
 *
 * Between replicas of this gateway the body is the protobuf message itself, so nothing is parsed twice and unknown
 * fields survive. A peer that answers 415 is a Clouddriver that speaks the text format only: it gets that from then on.
 */

import { fromBinary } from '@bufbuild/protobuf';
import { Pool } from 'undici';
import { GatewayError, messageOf } from '../../core/errors.js';
import { OperationResultSchema, OperationSchema } from '../../protocol/generated/ops/operations_pb.js';
import { formatText } from '../../protocol/text-format.js';
import {
  forwardedByHeader,
  onlyAgentHeader,
  operationPath,
  operationResultPath,
  protobufMediaType,
  type ForwardAnswer,
} from './forwarding.js';

export interface ForwarderOptions {
  readonly instanceId: string;
  /** Connections per peer. */
  readonly connections: number;
  /** How long a peer may take to answer, in ms. */
  readonly timeoutMs: number;
}

/** An instance to talk to. */
export interface PeerAddress {
  readonly id: string;
  readonly baseUrl: string;
}

interface Peer {
  readonly baseUrl: string;
  readonly pool: Pool;
  protobuf: boolean;
}

/** Peers are those that discovery names; one that is asked no more is dropped when its number is exceeded. */
const peerLimit = 1_000;

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #peers = new Map<string, Peer>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * Gives an operation to its owner.
   * @throws GatewayError `not-owner`; `overloaded` or `draining` when the peer refuses; `owner-unreachable` with
   *   `details.cause` an {@link UnknownDelivery} when the peer may have got it all the same
   */
  async operation(
    to: PeerAddress,
    operation: Uint8Array,
    onlyAgentId: string | undefined,
    timeLeftMs: number,
  ): Promise<ForwardAnswer> {
    const text = () =>
      JSON.stringify({ operation: formatText(OperationSchema, fromBinary(OperationSchema, operation)) });
    const headers = onlyAgentId === undefined ? {} : { [onlyAgentHeader]: onlyAgentId };
    const answer = await this.#post(to, operationPath, operation, text, headers, timeLeftMs);
    return JSON.parse(answer) as ForwardAnswer;
  }

  /**
   * Brings a result to the instance that waits for it.
   * @throws GatewayError `unknown-operation` or `operation-ended` when nobody waits there; `owner-unreachable`
   */
  async result(to: PeerAddress, result: Uint8Array): Promise<void> {
    const text = () =>
      JSON.stringify({ result: formatText(OperationResultSchema, fromBinary(OperationResultSchema, result)) });
    await this.#post(to, operationResultPath, result, text, {}, this.#options.timeoutMs);
  }

  /** Closes the connections to an instance that is gone. */
  async forget(instanceId: string): Promise<void> {
    const peer = this.#peers.get(instanceId);
    this.#peers.delete(instanceId);
    await peer?.pool.destroy();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#peers.keys()].map((id) => this.forget(id)));
  }

  async #post(
    to: PeerAddress,
    path: string,
    bytes: Uint8Array,
    text: () => string,
    headers: Readonly<Record<string, string>>,
    timeLeftMs: number,
  ): Promise<string> {
    const peer = this.#peer(to);
    const send = (body: Uint8Array | string) =>
      this.#request(to, peer, path, body, headers, Math.min(timeLeftMs, this.#options.timeoutMs));
    const answer = await send(peer.protobuf ? bytes : text());
    if (answer.status !== 415 || !peer.protobuf) return expectSuccess(to, answer);
    peer.protobuf = false;
    return expectSuccess(to, await send(text()));
  }

  async #request(
    to: PeerAddress,
    peer: Peer,
    path: string,
    body: Uint8Array | string,
    headers: Readonly<Record<string, string>>,
    timeoutMs: number,
  ): Promise<Answer> {
    const { instanceId } = this.#options;
    try {
      const response = await peer.pool.request({
        method: 'POST',
        path,
        headers: {
          'content-type': typeof body === 'string' ? 'application/json' : protobufMediaType,
          [forwardedByHeader]: instanceId,
          ...headers,
        },
        body,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      });
      return {
        status: response.statusCode,
        retryAfter: response.headers['retry-after'],
        body: await response.body.text(),
      };
    } catch (error) {
      const message = `instance ${to.id} at ${to.baseUrl} does not answer: ${messageOf(error)}`;
      const cause = neverSent(error) ? error : new UnknownDelivery(error);
      throw new GatewayError('owner-unreachable', message, { cause, instanceId: to.id, retryAfterMs: 1_000 });
    }
  }

  #peer(to: PeerAddress): Peer {
    const known = this.#peers.get(to.id);
    if (known?.baseUrl === to.baseUrl) return known;
    if (known !== undefined) void this.forget(to.id);
    const oldest = this.#peers.keys().next();
    if (this.#peers.size >= peerLimit && oldest.done !== true) void this.forget(oldest.value);
    const pool = new Pool(to.baseUrl, {
      connections: this.#options.connections,
      pipelining: 1,
      connectTimeout: Math.min(this.#options.timeoutMs, 2_000),
      keepAliveTimeout: 30_000,
    });
    const peer = { baseUrl: to.baseUrl, pool, protobuf: true };
    this.#peers.set(to.id, peer);
    return peer;
  }
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | string[] | undefined;
  readonly body: string;
}

/** Says of a failed call that the peer may have got the request all the same. */
export class UnknownDelivery extends Error {
  override readonly name = 'UnknownDelivery';

  constructor(cause: unknown) {
    super('the connection broke after the request was sent', { cause });
  }
}

function neverSent(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (
    code === 'ECONNREFUSED' ||
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    code === 'EHOSTUNREACH' ||
    code === 'ENETUNREACH' ||
    code === 'ENOTFOUND'
  );
}

function expectSuccess(to: PeerAddress, answer: Answer): string {
  if (answer.status < 300) return answer.body;
  const detail = problemDetail(answer.body);
  const details = { instanceId: to.id };
  switch (answer.status) {
    case 421:
      throw new GatewayError('not-owner', `instance ${to.id} does not hold the account: ${detail}`, details);
    case 404:
      throw new GatewayError('unknown-operation', detail, details);
    case 409:
      throw new GatewayError('operation-ended', detail, details);
    case 413:
      throw new GatewayError('too-large', detail, details);
    case 429:
      throw new GatewayError('overloaded', detail, {
        ...details,
        retryAfterMs: Number(answer.retryAfter ?? 1) * 1_000,
      });
    default:
      throw new GatewayError('owner-unreachable', `instance ${to.id} answered ${String(answer.status)}: ${detail}`, {
        ...details,
        retryAfterMs: 1_000,
      });
  }
}

function problemDetail(body: string): string {
  try {
    const problem = JSON.parse(body) as { detail?: unknown };
    if (typeof problem.detail === 'string') return problem.detail;
  } catch {
    // Not ours: a proxy in between, or a Clouddriver.
  }
  return body.slice(0, 200);
}
