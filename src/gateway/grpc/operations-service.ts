/** `ops.Operations` on grpc-js: turns calls into sessions and frames into calls of the domain. */

import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { BoundedWarnings } from '../../core/bounded-warnings.js';
import { GatewayError, messageOf, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { Account, AccountsAdded, AccountsRemoved } from '../../protocol/generated/ops/operations_pb.js';
import { isPong, readAgentFrame, readCachingEnded, type ConnectFrame } from '../../protocol/wire.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import type { CachingSwitches } from '../agents/caching-assignment/switches.js';
import type { AgentPrincipal } from '../agents/principal.js';
import type { Presence } from '../agents/presence.js';
import type { RegistrationLimits } from '../agents/registration-limits.js';
import type { Registrations } from '../agents/registrations.js';
import type { Registry } from '../agents/registry.js';
import { Session, type AgentTransport, type SessionLimits } from '../agents/session.js';
import type { Results } from '../operations/results.js';
import type { Metrics } from '../telemetry/metrics.js';
import { admitStream, type AdmissionOptions } from './admission.js';
import { byteStreamMethod, endCall, type ByteStream } from './byte-stream.js';

export interface OperationsServiceOptions {
  readonly registry: Pick<Registry, 'opened' | 'closed'>;
  readonly registrations: Registrations;
  readonly caching: Pick<CachingSwitches, 'resume'>;
  readonly presence: Pick<Presence, 'refused'>;
  readonly results: Results;
  readonly admission: AdmissionOptions;
  readonly registrationLimits: Pick<RegistrationLimits, 'take'>;
  readonly limits: SessionLimits;
  readonly maxMessageBytes: number;
  /** From the start of a stream to its Registration, in ms. */
  readonly handshakeTimeoutMs: number;
  /** For the writes of a registration, in ms. */
  readonly registrationTimeoutMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** A clock that only goes forward, in ms. */
  readonly now: () => number;
}

export const operationsDefinition: ServiceDefinition = { connect: byteStreamMethod('/ops.Operations/Connect') };

/** At most one log line in this time, in ms, so that a wave of agents that have to wait does not flood the log. */
const overloadPeriodMs = 10_000;

interface Serving extends OperationsServiceOptions {
  readonly overloads: BoundedWarnings;
}

export function createOperationsService(options: OperationsServiceOptions): UntypedServiceImplementation {
  const serving = { ...options, overloads: new BoundedWarnings(options.logger, overloadPeriodMs) };
  return {
    connect: (call: ByteStream) => {
      admitStream(call, options.admission, (principal) => {
        serve(call, principal, serving);
      });
    },
  };
}

function serve(call: ByteStream, principal: AgentPrincipal | undefined, options: Serving): void {
  const { registry, caching, limits, handshakeTimeoutMs, now } = options;
  const session = new Session(transportOf(call), limits, now, principal);
  registry.opened(session);
  const handshake = setTimeout(() => {
    registry.closed(
      session,
      new GatewayError('timed-out', `expected a Registration within ${String(handshakeTimeoutMs)} ms`),
    );
  }, handshakeTimeoutMs);

  const ended = (error?: GatewayError) => {
    clearTimeout(handshake);
    registry.closed(session, error);
  };
  call.on('data', (message: Uint8Array) => {
    if (session.state === 'closed') return;
    session.lastHeard = now();
    if (session.state === 'active' && isPong(message)) {
      session.ponged();
      if (readCachingEnded(message)) caching.resume(session);
      return;
    }
    receive(session, message, options, () => {
      clearTimeout(handshake);
    }).catch((error: unknown) => {
      ended(toGatewayError(error));
    });
  });
  call.on('drain', () => {
    session.drained();
  });
  call.on('end', () => {
    // A reset of the stream or the connection also arrives as an end; the reset is reported right after it.
    setImmediate(() => {
      ended(call.cancelled ? broken() : undefined);
    });
  });
  call.on('cancelled', () => {
    ended(broken());
  });
  call.on('error', (error: Error) => {
    ended(new GatewayError('agent-lost', 'the stream broke', { cause: error }));
  });
}

function broken(): GatewayError {
  return new GatewayError('cancelled', 'the stream was reset, or its connection broke');
}

async function receive(session: Session, message: Uint8Array, options: Serving, introduced: () => void): Promise<void> {
  const { registrations, results, maxMessageBytes, registrationTimeoutMs, metrics, logger } = options;
  const frame = readAgentFrame(message);
  if (session.state === 'waiting') {
    introduced();
    if (message.length > maxMessageBytes) throw tooLarge('register', message.length, maxMessageBytes);
    await register(session, frame, options);
    return;
  }
  switch (frame.case) {
    case 'result':
      await results.fromAgent(session, frame.bytes);
      return;
    case 'accountsAdded':
      if (message.length > maxMessageBytes) throw tooLarge('accounts_added', message.length, maxMessageBytes);
      await accountsAdded(session, frame.value, registrations, AbortSignal.timeout(registrationTimeoutMs));
      return;
    case 'accountsRemoved':
      await accountsRemoved(session, frame.value, registrations, AbortSignal.timeout(registrationTimeoutMs));
      return;
    case 'pong':
      return;
    case 'register':
      throw new GatewayError('invalid-argument', 'register: this stream is registered already', { field: 'register' });
    case undefined:
      // A kind of message of a newer protocol version.
      metrics.results.inc({ way: 'unknown' });
      logger.debug({ agentId: session.agent.agentId }, 'unknown kind of message ignored');
      return;
  }
}

async function accountsAdded(
  session: Session,
  { accounts, failures }: AccountsAdded,
  registrations: Registrations,
  signal: AbortSignal,
): Promise<void> {
  if (accounts.length > 0) await registrations.addAccounts(session, accounts.map(toRegistration), signal);
  for (const { name, dynamicVersion } of accounts) {
    const version = Number(dynamicVersion);
    const held = session.accounts.get(name)?.dynamicVersion === version;
    session.questions.answer(name, version, held ? { kind: 'done' } : { kind: 'lost' });
  }
  for (const { name, version, message } of failures) {
    session.questions.answer(name, Number(version), { kind: 'refused', message });
  }
}

async function accountsRemoved(
  session: Session,
  { names, failures }: AccountsRemoved,
  registrations: Registrations,
  signal: AbortSignal,
): Promise<void> {
  await registrations.removeAccounts(session, names, signal);
  for (const name of names) session.questions.answer(name, 0, { kind: 'done' });
  for (const { name, message } of failures) session.questions.answer(name, 0, { kind: 'refused', message });
}

async function register(session: Session, frame: ConnectFrame, options: Serving): Promise<void> {
  const { registrations, presence, registrationTimeoutMs, metrics, logger, overloads } = options;
  try {
    if (frame.case !== 'register') {
      throw new GatewayError(
        'invalid-argument',
        'register: expected a Registration as the first message of the stream',
        { field: 'register' },
      );
    }
    options.registrationLimits.take(session);
    const { agentId, zoneId, version, processId, accounts, dynamicAccounts, kubernetesApi } = frame.value;
    const request = {
      agentId,
      zoneId,
      version,
      dynamicAccounts,
      kubernetesApi,
      accounts: accounts.map(toRegistration),
      ...(processId === '' ? {} : { processId }),
    };
    await registrations.register(session, request, AbortSignal.timeout(registrationTimeoutMs));
    metrics.registrations.inc({ outcome: 'registered' });
  } catch (thrown) {
    const error = toGatewayError(thrown);
    metrics.registrations.inc({ outcome: error.code });
    if (frame.case === 'register') presence.refused(frame.value.agentId, error);
    const { code, message } = error;
    const fields = { address: session.transport.address, code, error: message, cause: messageOf(error.cause ?? '') };
    (code === 'overloaded' ? overloads : logger).warn(fields, 'registration refused');
    throw error;
  }
}

function toRegistration(account: Account): AccountRegistration {
  const { name, kubeHost, kubeVersion, certFingerprint, maxWatchAgeSeconds, namespaces, properties } = account;
  const { dynamicVersion } = account;
  return {
    name,
    kubeHost,
    kubeVersion,
    certFingerprint,
    maxWatchAgeSeconds,
    namespaces,
    properties,
    ...(dynamicVersion === 0n ? {} : { dynamicVersion: Number(dynamicVersion) }),
  };
}

function transportOf(call: ByteStream): AgentTransport {
  return {
    address: call.getPeer(),
    write: (frame) => call.write(frame),
    pause: () => {
      call.pause();
    },
    resume: () => {
      call.resume();
    },
    end: (error) => {
      endCall(call, error);
    },
  };
}

function tooLarge(what: string, size: number, limit: number): GatewayError {
  return new GatewayError(
    'too-large',
    `${what} has ${String(size)} bytes; ${String(limit)} are allowed (kubesvc.grpc.server.maxInboundMessageSize)`,
    { field: what },
  );
}
