/**
 * The REST client to one other instance. Concurrent messages share one request: under load a message
 * costs a fraction of a request.
 *
 * Between replicas of this gateway the messages themselves are sent, so nothing is parsed twice and unknown fields
 * survive. A peer that answers 415 is a Clouddriver that speaks the text format only: it gets the text format from then
 * on.
 */

import { fromBinary, type DescMessage } from '@bufbuild/protobuf';
import { Pool } from 'undici';
import { reasonFor } from '../../core/connection-failure.js';
import { GatewayError, type ErrorCode } from '../../core/errors.js';
import { GroupCommit } from '../../core/group-commit.js';
import type { PeerAddress, PeerTls } from './peer-address.js';
import { ApiForwarding } from './api-forwarding.js';
import { digestOf, instanceTokenHeader, type InstanceCall } from './instance-tokens.js';
import { OperationResultSchema, OperationSchema } from '../../protocol/generated/ops/operations_pb.js';
import { formatText } from '../../protocol/text-format.js';
import { writeDelimited } from '../../protocol/delimited.js';
import {
  answerOf,
  forwardedByHeader,
  operationPath,
  operationResultPath,
  peerKeepAlive,
  protobufMediaType,
  type ForwardAnswer,
  type ForwardingOutcome,
} from './forwarding.js';

export interface PeerOptions {
  /** This instance. */
  readonly instanceId: string;
  /** Connections, and so concurrent requests. */
  readonly connections: number;
  /** How long the peer may take to answer, in ms. */
  readonly timeoutMs: number;
  /** The current CA certificates and client certificate, if the peer speaks TLS. */
  readonly tls: () => PeerTls;
  /**
   * Makes the token that proves to the peer that an instance calls; absent: only this instance's certificate proves it.
   */
  readonly sign: ((receiver: string, call: InstanceCall) => string) | undefined;
}

/** A call that an instance answers for itself alone. */
export interface PeerRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** How long the peer may take, in ms. */
  readonly timeoutMs: number;
}

export interface PeerAnswer {
  readonly status: number;
  /** undefined if it is not JSON. */
  readonly body: unknown;
}

const batchSize = 100;
/** Well below the default of `server.maxBodySize` (8 MB); a single operation has up to 4 MB. */
const batchBytes = 1 << 20;
const queueLimit = 10_000;

export class Peer {
  readonly address: PeerAddress;
  readonly #options: PeerOptions;
  #pool: Pool;
  readonly #operations: GroupCommit<Uint8Array, ForwardingOutcome<ForwardAnswer>>;
  readonly #results: GroupCommit<Uint8Array, ForwardingOutcome<object>>;
  /** Requests of the Kubernetes API. */
  readonly api: ApiForwarding;
  #protobuf = true;

  constructor(address: PeerAddress, options: PeerOptions) {
    this.address = address;
    this.#options = options;
    this.#pool = this.#createPool();
    this.api = new ApiForwarding({ ...options, address });
    const shared = {
      batchSize,
      batchBytes,
      bytesOf: (bytes: Uint8Array) => bytes.length,
      concurrency: options.connections,
      queueLimit,
    };
    const name = `to instance ${address.id}`;
    this.#operations = new GroupCommit({
      ...shared,
      name,
      write: (batch) => this.#send(operationPath, batch, OperationSchema, 'operation'),
    });
    this.#results = new GroupCommit({
      ...shared,
      name,
      write: (batch) => this.#send(operationResultPath, batch, OperationResultSchema, 'result'),
    });
  }

  /** @throws GatewayError as Forwarder.operation() */
  async operation(operation: Uint8Array): Promise<ForwardAnswer> {
    return answerOf(await this.#operations.add(operation), this.address.id);
  }

  /** @throws GatewayError as Forwarder.result() */
  async result(result: Uint8Array): Promise<void> {
    answerOf(await this.#results.add(result), this.address.id);
  }

  /** @throws GatewayError `owner-unreachable` */
  async call({ method, path, body, timeoutMs }: PeerRequest): Promise<PeerAnswer> {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.#request(method, path, 'application/json', sent, timeoutMs);
    return { status: answer.status, body: jsonOf(answer.body) };
  }

  get queueLength(): number {
    return this.#operations.queueLength + this.#results.queueLength;
  }

  /** New connections use the current TLS options; calls under way end on the old connections. */
  renew(): void {
    const old = this.#pool;
    this.#pool = this.#createPool();
    void old.close();
    this.api.renew();
  }

  async close(): Promise<void> {
    await Promise.all([this.leave(), this.api.close()]);
  }

  /**
   * Closes the connections but those of requests of the Kubernetes API that are under way: discovery may name the peer no
   * more because it has lost Redis, and it goes on with them. If it is gone, they break or PeerSilence ends them.
   */
  async leave(): Promise<void> {
    await this.#pool.destroy();
  }

  #createPool(): Pool {
    const { connections, timeoutMs, tls } = this.#options;
    return new Pool(this.address.baseUrl, {
      connections: connections * 2,
      pipelining: 1,
      connect: { ...tls(), timeout: Math.min(timeoutMs, 2_000) },
      ...peerKeepAlive,
    });
  }

  async #send<Answer>(
    path: string,
    batch: readonly Uint8Array[],
    schema: DescMessage,
    field: string,
  ): Promise<readonly ForwardingOutcome<Answer>[]> {
    if (this.#protobuf) {
      const { status, body } = await this.#post(path, protobufMediaType, writeDelimited(batch));
      if (status === 200) return JSON.parse(body) as ForwardingOutcome<Answer>[];
      if (status !== 415) throw this.#failed(status, body);
      this.#protobuf = false;
    }
    return Promise.all(batch.map((message) => this.#sendText<Answer>(path, message, schema, field)));
  }

  async #sendText<Answer>(
    path: string,
    message: Uint8Array,
    schema: DescMessage,
    field: string,
  ): Promise<ForwardingOutcome<Answer>> {
    const text = formatText(schema, fromBinary(schema, message));
    const { status, body } = await this.#post(path, 'application/json', JSON.stringify({ [field]: text }));
    if (status < 300) return {} as Answer;
    const code = textCodes.get(status);
    if (code === undefined) throw this.#failed(status, body);
    return {
      refused: { code, detail: `instance ${this.address.id} answered ${String(status)}: ${body.slice(0, 200)}` },
    };
  }

  #post(path: string, contentType: string, body: Uint8Array | string): Promise<RawAnswer> {
    return this.#request('POST', path, contentType, body, this.#options.timeoutMs);
  }

  async #request(
    method: 'GET' | 'POST',
    path: string,
    contentType: string,
    body: Uint8Array | string | undefined,
    timeoutMs: number,
  ): Promise<RawAnswer> {
    const { sign, instanceId } = this.#options;
    const token = sign?.(this.address.id, { method, path, bodyDigest: digestOf(body) });
    try {
      const response = await this.#pool.request({
        method,
        path,
        headers: {
          ...(body === undefined ? {} : { 'content-type': contentType }),
          [forwardedByHeader]: instanceId,
          ...(token === undefined ? {} : { [instanceTokenHeader]: token }),
        },
        ...(body === undefined ? {} : { body }),
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      });
      return { status: response.statusCode, body: await response.body.text() };
    } catch (error) {
      const { id, baseUrl } = this.address;
      const cause = neverSent(error) ? error : new UnknownDelivery(error);
      const message = `instance ${id} at ${baseUrl} does not answer: ${reasonFor(error)}`;
      throw new GatewayError('owner-unreachable', message, { cause, instanceId: id, retryAfterMs: 1_000 });
    }
  }

  #failed(status: number, body: string): GatewayError {
    const message = `instance ${this.address.id} answered ${String(status)}: ${body.slice(0, 200)}`;
    return new GatewayError('owner-unreachable', message, { instanceId: this.address.id, retryAfterMs: 1_000 });
  }
}

interface RawAnswer {
  readonly status: number;
  readonly body: string;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Meaning of a Clouddriver's statuses for one message. */
const textCodes: ReadonlyMap<number, ErrorCode> = new Map([
  [404, 'unknown-operation'],
  [409, 'operation-ended'],
  [413, 'too-large'],
  [421, 'not-owner'],
  [429, 'overloaded'],
]);

/** Marks a failed call whose request the peer may have got all the same. */
export class UnknownDelivery extends Error {
  override readonly name = 'UnknownDelivery';

  constructor(cause: unknown) {
    super('the connection broke after the request was sent', { cause });
  }

  /** The connection was up, but the peer did not answer. */
  get timedOut(): boolean {
    const { code } = (this.cause ?? {}) as { readonly code?: unknown };
    return code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT';
  }
}

const unsentCodes = new Set<unknown>([
  'ECONNREFUSED',
  'UND_ERR_CONNECT_TIMEOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
]);

function neverSent(error: unknown): boolean {
  return unsentCodes.has((error as { code?: unknown } | null)?.code);
}
