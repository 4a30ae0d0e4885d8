/** Options of an agent's connection, and their defaults. */

import { randomBytes } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { credentials as grpcCredentials, type ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from '../core/logger.js';
import type { AnswerRequest } from '../tunnel/exchange.js';
import type { Backoff } from '../core/retry.js';
import { RegistrationSchema, type Registration } from '../protocol/generated/ops/operations_pb.js';
import type { CachingChange, StreamAccount } from './caching-sink.js';
import type { ConnectionState } from './connection-state.js';
import type { DialTarget } from './dial-proxy.js';
import type { DynamicAccountHandler } from './dynamic-accounts.js';
import type { DialSecurity } from './gateway-stream.js';
import type { Execute } from './operation-runner.js';

export interface AgentConnectionOptions {
  /** `host:port` of gateways or of a load balancer before them; several are dialled in turn. */
  readonly addresses: readonly string[];
  readonly registration: MessageInitShape<typeof RegistrationSchema>;
  readonly execute: Execute;
  readonly logger: Logger;
  /** Default: cleartext. */
  readonly credentials?: ChannelCredentials;
  /** Instead of `credentials`: called at each dial, so that certificates and tokens may change. */
  readonly security?: () => DialSecurity;
  /** The target to dial for an address, perhaps a proxy; default: grpc-js's own choice. */
  readonly dialTarget?: (address: string) => DialTarget;
  /** The accounts to cache from now on; all stop when no stream is left, and when a new one takes over. */
  readonly onCaching?: (change: CachingChange) => void;
  /** Streams the objects of an account while this agent caches it. Absent: none are sent. */
  readonly streamAccount?: StreamAccount;
  readonly onState?: (state: ConnectionState) => void;
  /** Serves accounts that the gateway asks for; absent: the agent accepts none. */
  readonly dynamicAccounts?: DynamicAccountHandler;
  /** Answers requests of the Kubernetes API; absent: the agent takes none. */
  readonly answerKubernetesApi?: AnswerRequest;
  readonly limits?: Partial<AgentConnectionLimits>;
  /** A clock that only goes forward, in ms; default: performance.now(). */
  readonly now?: () => number;
  readonly random?: () => number;
}

export interface AgentConnectionLimits {
  /** Between dials that fail for temporary reasons. Armory's `clouddriver.backoff.*`. */
  readonly backoff: Backoff;
  /** After a refusal that an operator must fix (wrong registration, no permission, a second agent with this id). */
  readonly refusedBackoff: Backoff;
  /** A stream that lived this long resets the backoff, in ms. */
  readonly stableMs: number;
  readonly registerTimeoutMs: number;
  /** HTTP/2 keepalive, Armory's `clouddriver.keepAliveHeartbeatSeconds`; in ms. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** How long a replaced stream may go on delivering the results of its operations, in ms. */
  readonly retireMs: number;
  /** How long a replaced stream may go on with requests of the Kubernetes API, in ms. */
  readonly retireRequestsMs: number;
  /** How long the gateway has to end a stream that the agent half-closed, in ms. */
  readonly endMs: number;
  readonly maximumReceiveBytes: number;
  readonly maximumExecuting: number;
  readonly maximumQueued: number;
  readonly defaultTimeoutMs: number;
  readonly rememberedOperations: number;
  readonly rememberMs: number;
  readonly maximumUnacknowledgedBytes: number;
  /** Unacknowledged bytes of cached objects, of all accounts together. */
  readonly cachingWindowBytes: number;
}

export const defaultLimits: AgentConnectionLimits = {
  backoff: {
    initialMs: 1_000,
    multiplier: 1.6,
    jitter: 0.2,
    maximumMs: 120_000,
  },
  refusedBackoff: {
    initialMs: 30_000,
    multiplier: 1.6,
    jitter: 0.2,
    maximumMs: 120_000,
  },
  stableMs: 10_000,
  registerTimeoutMs: 20_000,
  keepaliveMs: 20_000,
  // Longer than a gateway may be busy without being lost: the pings of the protocol find its silence sooner.
  keepaliveTimeoutMs: 30_000,
  retireMs: 30_000,
  retireRequestsMs: 3_600_000,
  endMs: 2_000,
  // Above the gateway's default of 4 MB, so that people encounter the gateway's limit.
  maximumReceiveBytes: 16 * 1024 * 1024,
  maximumExecuting: 100,
  maximumQueued: 1_000,
  defaultTimeoutMs: 30_000,
  rememberedOperations: 10_000,
  rememberMs: 3_600_000,
  maximumUnacknowledgedBytes: 64 * 1024 * 1024,
  cachingWindowBytes: 1024 * 1024,
};

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly addresses: readonly [string, ...string[]];
  readonly registration: Registration;
  readonly execute: Execute;
  readonly logger: Logger;
  readonly security: () => DialSecurity;
  readonly dialTarget: (address: string) => DialTarget;
  readonly onCaching: (change: CachingChange) => void;
  readonly streamAccount: StreamAccount | undefined;
  readonly onState: (state: ConnectionState) => void;
  readonly dynamicAccounts: DynamicAccountHandler | undefined;
  readonly answerKubernetesApi: AnswerRequest | undefined;
  readonly limits: AgentConnectionLimits;
  readonly now: () => number;
  readonly random: () => number;
}

/** @throws RangeError when there is no address to dial */
export function resolveOptions(options: AgentConnectionOptions): ResolvedOptions {
  const [first, ...others] = options.addresses;
  if (first === undefined) throw new RangeError('addresses must name at least one gateway');
  return {
    addresses: [first, ...others],
    registration: create(RegistrationSchema, {
      // Made anew for each connection object, which keeps its own memory of executed operations.
      processId: randomBytes(12).toString('base64url'),
      ...options.registration,
      ...(options.dynamicAccounts === undefined ? {} : { dynamicAccounts: true }),
      ...(options.answerKubernetesApi === undefined ? {} : { kubernetesApi: true }),
    }),
    execute: options.execute,
    logger: options.logger,
    security: options.security ?? (() => ({ credentials: options.credentials ?? grpcCredentials.createInsecure() })),
    dialTarget: options.dialTarget ?? ((target) => ({ target, options: {} })),
    onCaching: options.onCaching ?? (() => undefined),
    streamAccount: options.streamAccount,
    onState: options.onState ?? (() => undefined),
    dynamicAccounts: options.dynamicAccounts,
    answerKubernetesApi: options.answerKubernetesApi,
    limits: { ...defaultLimits, ...options.limits },
    now: options.now ?? (() => performance.now()),
    random: options.random ?? Math.random,
  };
}
