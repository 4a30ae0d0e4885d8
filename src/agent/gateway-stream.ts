/**
 * One stream to the gateway, from dialling to its end: an HTTP/2 connection of its own, the registration, pongs,
 * and the detection of a silent link. It never dials again; that is the connection's task.
 */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Client,
  Metadata,
  connectivityState,
  status as grpcStatus,
  type ChannelCredentials,
  type ChannelOptions,
  type ClientDuplexStream,
  type StatusObject,
} from '@grpc/grpc-js';
import { messageOf } from '../core/errors.js';
import { CachingReplySchema } from '../protocol/generated/events/caching_pb.js';
import type { CachingCall } from './caching-sink.js';
import type { DialTarget } from './dial-proxy.js';
import {
  AgentMessageSchema,
  GatewayMessageSchema,
  type AgentMessage,
  type GatewayMessage,
  type Registered,
  type Registration,
} from '../protocol/generated/ops/operations_pb.js';

/** Full method name of the agent protocol; the service definition is this and two codecs. */
const connectPath = '/ops.Operations/Connect';
const cachingPath = '/events.Caching/Stream';
const kubernetesApiPath = '/kubernetes.Api/Serve';

/** HTTP/2 flow control, in bytes: many requests of the Kubernetes API share one stream. */
const flowControlWindowBytes = 2 << 20;

/** A stream of kubernetes.Api, whose messages stay bytes. */
export type KubernetesApiCall = ClientDuplexStream<Uint8Array, Uint8Array>;

/** An agent that hears nothing for this many ping periods gives up the link (proto: Ping). */
const silentPeriods = 3;

export interface GatewayStreamOptions {
  /** `host:port`. */
  readonly address: string;
  /** Called at the dial. Throws in words if one of its files cannot be used. */
  readonly security: () => DialSecurity;
  /** The target to dial for the address, perhaps a proxy. Throws in words. */
  readonly dialTarget: (address: string) => DialTarget;
  readonly registration: Registration;
  /** Time for the dial and the answer to the registration together, in ms. */
  readonly registerTimeoutMs: number;
  /** HTTP/2 keepalive: a PING after this long without one, in ms. */
  readonly keepaliveMs: number;
  /** The link is dead when a PING is not acknowledged for this long, in ms. */
  readonly keepaliveTimeoutMs: number;
  /** The largest operation that is accepted, in bytes. */
  readonly maximumReceiveBytes: number;
}

/** The security of a connection, and the agent's credentials. */
export interface DialSecurity {
  readonly credentials: ChannelCredentials;
  /** Expected in the gateway's certificate; default: the host that is dialled. */
  readonly serverName?: string | undefined;
  /** The `authorization` of every call: "Bearer ...". */
  readonly authorization?: string | undefined;
}

/** Called in this order: transport, registered, any number of messages, and exactly one end. */
export interface GatewayStreamEvents {
  /** The HTTP/2 connection is up; the registration is on its way. */
  onTransport(stream: GatewayStream): void;
  onRegistered(stream: GatewayStream, registered: Registered): void;
  /** Everything but Registered and Ping, which the stream handles itself. */
  onMessage(stream: GatewayStream, message: GatewayMessage['message']): void;
  onEnd(stream: GatewayStream, end: StreamEnd): void;
  /** Nothing was heard for this time, in ms: the gateway may have given the agent's accounts to others. */
  onSilent(stream: GatewayStream, silenceMs: number): void;
  /** The gateway is heard again, and continues with this stream. */
  onHeard(stream: GatewayStream): void;
}

/** How a stream ended: a gRPC status code, and its text. */
export interface StreamEnd {
  readonly code: grpcStatus;
  readonly message: string;
  /** Wait before the next dial that the gateway asks for, in ms. */
  readonly retryAfterMs?: number;
}

export function encodeAgentMessage(message: AgentMessage['message']): Uint8Array {
  return toBinary(AgentMessageSchema, create(AgentMessageSchema, { message }));
}

export class GatewayStream {
  readonly address: string;
  readonly #options: GatewayStreamOptions;
  readonly #events: GatewayStreamEvents;
  #client: Client | undefined;
  #call: ClientDuplexStream<Uint8Array, GatewayMessage> | undefined;
  #authorization: string | undefined;
  /** Registration, then silence, then the grace of end(): never two at a time. */
  #timer: NodeJS.Timeout | undefined;
  /** The silence that #timer waits for while the stream is registered, in ms; 0: it waits for something else. */
  #silenceMs = 0;
  /** That silence has been reached. */
  #silent = false;
  /** Caching has stopped because of it, and the gateway does not know yet. */
  #cachingEnded = false;
  #connected = false;
  #registered: Registered | undefined;
  #halfClosed = false;
  #end: StreamEnd | undefined;
  /** Whether the connection is needed although this stream has ended. */
  #isRetained = (): boolean => false;

  constructor(options: GatewayStreamOptions, events: GatewayStreamEvents) {
    this.address = options.address;
    this.#options = options;
    this.#events = events;
  }

  /** The agent's registration at this dial. */
  get registration(): Registration {
    return this.#options.registration;
  }

  /** Whether the HTTP/2 connection came up. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Registered.epoch; 0 before. */
  get epoch(): bigint {
    return this.#registered?.epoch ?? 0n;
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** Whether messages can be sent. */
  get open(): boolean {
    return this.#registered !== undefined && !this.#halfClosed && this.#end === undefined;
  }

  /** The largest message that the gateway accepts, in bytes; no limit until it sends one. */
  get maximumMessageBytes(): number {
    return this.#registered?.maxMessageBytes || Number.POSITIVE_INFINITY;
  }

  /** Dials and sends the registration. Call it once. */
  dial(): void {
    const { registerTimeoutMs, security, registration } = this.#options;
    this.#arm(registerTimeoutMs, () =>
      this.#abandon(grpcStatus.DEADLINE_EXCEEDED, `not registered within ${registerTimeoutMs} ms`),
    );
    let client: Client;
    try {
      const { credentials, serverName, authorization } = security();
      const names = serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName };
      this.#authorization = authorization;
      const { target, options } = this.#options.dialTarget(this.address);
      client = new Client(target, credentials, { ...this.#channelOptions(), ...options, ...names });
    } catch (error) {
      this.#abandon(grpcStatus.INVALID_ARGUMENT, messageOf(error));
      return;
    }
    this.#client = client;
    const call = client.makeBidiStreamRequest<Uint8Array, GatewayMessage>(
      connectPath,
      bufferOf,
      (bytes) => fromBinary(GatewayMessageSchema, bytes),
      this.#metadata(),
    );
    this.#call = call;
    call.on('data', (message: GatewayMessage) => this.#receive(message));
    // Every end arrives as a status, whether or not an error event came before it.
    call.on('error', () => undefined);
    call.on('status', (status: StatusObject) =>
      this.#finish({ code: status.code, message: plainDetails(status.details), ...retryAfter(status.metadata) }),
    );
    call.write(encodeAgentMessage({ case: 'register', value: registration }));
    this.#watchTransport(client);
  }

  /** Sends an encoded AgentMessage; false when the stream is not open. */
  send(bytes: Uint8Array): boolean {
    if (!this.open || this.#call === undefined) return false;
    this.#call.write(bytes);
    return true;
  }

  /**
   * Opens a stream of cached objects on this connection, so that it reaches the same replica; the end of this stream
   * ends it.
   */
  openCaching(): CachingCall | undefined {
    if (!this.open) return undefined;
    return this.#client?.makeBidiStreamRequest(
      cachingPath,
      bufferOf,
      (bytes) => fromBinary(CachingReplySchema, bytes),
      this.#metadata(),
    );
  }

  /** Opens a stream for requests of the Kubernetes API on this connection, as openCaching(). */
  openKubernetesApi(): KubernetesApiCall | undefined {
    if (!this.open) return undefined;
    return this.#client?.makeBidiStreamRequest(kubernetesApiPath, bufferOf, (bytes) => bytes, this.#metadata());
  }

  /** Keeps the connection beyond the end of this stream: until release() finds that it is not needed any more. */
  retain(isRetained: () => boolean): void {
    this.#isRetained = isRetained;
  }

  /** Closes the connection if this stream has ended and nothing else needs it. */
  release(): void {
    if (this.#end === undefined || this.#isRetained()) return;
    this.#client?.close();
    this.#client = undefined;
  }

  /**
   * Half-closes, so that sent messages still arrive; cancels if the gateway has not ended the stream after `graceMs`.
   */
  end(graceMs: number): void {
    if (this.#end !== undefined || this.#halfClosed) return;
    this.#halfClosed = true;
    this.#call?.end();
    this.#arm(graceMs, () =>
      this.#abandon(grpcStatus.CANCELLED, `the gateway did not end the stream within ${graceMs} ms`),
    );
  }

  /** Ends at once; onEnd is called before this returns, unless it was called before. */
  cancel(): void {
    this.#abandon(grpcStatus.CANCELLED, 'cancelled by the agent');
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#authorization !== undefined) metadata.set('authorization', this.#authorization);
    return metadata;
  }

  #channelOptions(): ChannelOptions {
    const { keepaliveMs, keepaliveTimeoutMs, maximumReceiveBytes } = this.#options;
    return {
      // grpc-js shares connections by address in the whole process: a second dial would get the first one's
      // connection, and so never reach another replica behind a load balancer.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.keepalive_time_ms': keepaliveMs,
      'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.max_receive_message_length': maximumReceiveBytes,
      'grpc.max_send_message_length': -1,
      'grpc-node.flow_control_window': flowControlWindowBytes,
      // A retrying call keeps a copy of everything it wrote; this stream is never retried as a call.
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
      'grpc.service_config_disable_resolution': 1,
    };
  }

  #watchTransport(client: Client): void {
    const channel = client.getChannel();
    const check = (): void => {
      if (this.#end !== undefined) return;
      const state = channel.getConnectivityState(false);
      if (state === connectivityState.READY) {
        this.#connected = true;
        this.#events.onTransport(this);
      } else if (state !== connectivityState.SHUTDOWN) channel.watchConnectivityState(state, Infinity, check);
    };
    check();
  }

  #receive(message: GatewayMessage): void {
    if (this.#end !== undefined) return;
    const { message: content } = message;
    if (this.#silent) {
      this.#silent = false;
      this.#events.onHeard(this);
    }
    if (content.case === 'registered') {
      if (this.#registered !== undefined) return;
      this.#registered = content.value;
      this.#disarm();
      this.#events.onRegistered(this, content.value);
      return;
    }
    if (content.case === 'ping') {
      const { sequence, periodMs } = content.value;
      this.send(
        encodeAgentMessage({
          case: 'pong',
          value: { $typeName: 'ops.Pong', sequence, cachingEnded: this.#cachingEnded },
        }),
      );
      this.#cachingEnded = false;
      if (this.open && periodMs > 0) this.#expectWithin(periodMs * silentPeriods);
      return;
    }
    if (this.open) this.#timer?.refresh();
    if (content.case === 'caching') this.#cachingEnded = false;
    this.#events.onMessage(this, content);
  }

  #expectWithin(silenceMs: number): void {
    if (silenceMs === this.#silenceMs && this.#timer !== undefined) {
      this.#timer.refresh();
      return;
    }
    this.#silenceMs = silenceMs;
    this.#arm(silenceMs, () => {
      if (this.#registered?.resumesCaching !== true) {
        this.#abandon(grpcStatus.UNAVAILABLE, `nothing heard from the gateway for ${silenceMs} ms`);
        return;
      }
      this.#silent = true;
      this.#cachingEnded = true;
      this.#events.onSilent(this, silenceMs);
    });
  }

  #arm(ms: number, expired: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(expired, ms);
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#silenceMs = 0;
  }

  #abandon(code: grpcStatus, message: string): void {
    const call = this.#call;
    this.#finish({ code, message });
    call?.cancel();
  }

  #finish(end: StreamEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#disarm();
    // A cancelled call needs a turn to send its reset before the connection goes.
    this.#call = undefined;
    setImmediate(() => this.release());
    this.#events.onEnd(this, end);
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The wait that an overloaded gateway asks for (gRFC A6). */
function retryAfter(metadata: Metadata): { readonly retryAfterMs?: number } {
  const [value] = metadata.get('grpc-retry-pushback-ms');
  const retryAfterMs = Number(value);
  return value !== undefined && retryAfterMs >= 0 ? { retryAfterMs } : {};
}

/** grpc-js wraps the reason of a failed dial in phrases that do not help a reader. */
function plainDetails(details: string): string {
  return /Last error: (?:Error: )?(.+?)\. Resolution note:/u.exec(details)?.[1] ?? details;
}
