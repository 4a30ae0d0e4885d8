/**
 * The agent as a service: its accounts, its connection to the gateway and its ports, built from the configuration.
 * One scope handles start and stop, as in the gateway.
 */

import type { Environment } from '../core/environment.js';
import { GatewayError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { ReleaseStack } from '../core/release-stack.js';
import type { StreamAccount } from './caching-sink.js';
import { gatewayAddresses } from './configuration/addresses.js';
import { followConfiguration, type ConfigurationFile } from './configuration/follow.js';
import type { AgentConfiguration } from './configuration/schema.js';
import { AgentConnection } from './connection.js';
import { defaultLimits, type AgentConnectionLimits } from './connection-options.js';
import { dialTarget } from './dial-proxy.js';
import { GatewaySecurity } from './dial-security.js';
import { healthListener, metricsListener, openPort } from './health-server.js';
import { createAnswerRequest } from './kubernetes-api/api-requests.js';
import { createExecute } from './kubernetes/execute.js';
import { withoutEffect } from './kubernetes/retries.js';
import { createAgentMetrics } from './metrics.js';
import type { Execute } from './operation-runner.js';
import { ServedAccounts } from './served-accounts.js';
import { createStreamAccount } from './watching/account-watcher.js';
import { ListBudget } from './watching/list-budget.js';
import { watchSeconds } from './watching/scope-watcher.js';

type AgentMetrics = ReturnType<typeof createAgentMetrics>;

export interface AgentServiceOptions {
  readonly configuration: AgentConfiguration;
  readonly version: string;
  readonly logger: Logger;
  readonly environment: Environment;
  /** The agentId if neither the configuration nor POD_NAME sets it. */
  readonly hostname: string;
  /** Changes of it are followed. */
  readonly file?: ConfigurationFile;
  /** Called after a new configuration was applied. */
  readonly onConfiguration?: (configuration: AgentConfiguration) => void;
}

export interface AgentService {
  readonly connection: AgentConnection;
  /** @throws GatewayError naming the setting; everything started is released */
  start(signal: AbortSignal): Promise<void>;
  /** Waits for operations for up to `tasks.drainSeconds`, then ends everything. */
  stop(): Promise<void>;
}

/** How often a cluster's kinds are read, in ms. */
const kindsPeriodMs = 60_000;
const nanosecondMs = 1e-6;

export function createAgentService(options: AgentServiceOptions): AgentService {
  const { configuration, version, logger, environment } = options;
  const { clouddriver, kubernetes, tasks, server, prometheus, dynamicAccounts } = configuration;
  const scope = new ReleaseStack();
  const loops = new AbortController();
  const metrics = createAgentMetrics(version);
  const accounts = new ServedAccounts(kubernetes, {
    logger,
    environment,
    onAnswer: (account) => connection.updateAccounts([], [account]),
  });
  const security = new GatewaySecurity(clouddriver, logger, environment);
  warnOfEntriesWithoutEffect(kubernetes.retries.retryableErrors, logger);
  const { agentId, zoneId } = idsOf(options);

  const connection = new AgentConnection({
    addresses: addressesOf(clouddriver),
    registration: { agentId, zoneId, version, accounts: [] },
    security: () => security.security(),
    dialTarget: (address) => dialTarget(address, clouddriver.noProxy ? undefined : environment),
    execute: measured(
      createExecute({
        clusterOf: (name) => accounts.get(name)?.cluster,
        fieldManager: 'agent-gateway-agent',
        retries: kubernetes.retries,
        logger,
      }),
      metrics,
    ),
    streamAccount: streamAccountOf(configuration, accounts, metrics, logger),
    answerKubernetesApi: createAnswerRequest({
      accountOf: (name) => accounts.get(name),
      observer: metrics.requestsObserver,
      logger,
    }),
    onState: ({ name }) => {
      if (name === 'active') metrics.connections.inc();
    },
    ...(dynamicAccounts.enabled ? { dynamicAccounts: accounts } : {}),
    logger,
    limits: limitsOf(configuration),
  });

  const isConnected = (): boolean => ['active', 'reconnecting'].includes(connection.state.name);

  function collect(): void {
    const { executing, queued, unacknowledged } = connection.operations;
    metrics.connected.set(isConnected() ? 1 : 0);
    metrics.accounts.set(accounts.size);
    metrics.cachedAccounts.set(connection.caching.length);
    metrics.executing.set(executing);
    metrics.queued.set(queued);
    metrics.unacknowledged.set(unacknowledged);
  }

  async function configure(wanted: AgentConfiguration): Promise<void> {
    const { removed, added } = await accounts.configure(wanted.kubernetes, loops.signal);
    connection.updateAccounts(removed, added);
  }

  const taken = (wanted: AgentConfiguration): void => {
    metrics.configurationReloads.inc({ outcome: 'taken' });
    options.onConfiguration?.(wanted);
  };
  const refused = (): void => metrics.configurationReloads.inc({ outcome: 'refused' });

  function background(name: string, run: (signal: AbortSignal) => Promise<void>): void {
    const running = run(loops.signal);
    scope.push(name, () => running);
  }

  async function start(signal: AbortSignal): Promise<void> {
    metrics.collectProcess();
    scope.push('metrics', () => {
      metrics.registry.clear();
    });
    await security.start(signal);
    scope.push('accounts', () => accounts.close());
    const { added } = await accounts.configure(kubernetes, signal);
    connection.updateAccounts([], added);
    if (server.port > 0) {
      const health = healthListener(() => ({ ready: isConnected(), state: connection.state.name }));
      const port = await openPort(server.host, server.port, 'server.port', health);
      scope.push('health', () => port.close());
    }
    if (prometheus.enabled) {
      const listener = metricsListener(metrics.registry, collect);
      const port = await openPort(server.host, prometheus.port, 'prometheus.port', listener);
      scope.push('metrics port', () => port.close());
    }
    background('token', (at) => security.run(at));
    const { file } = options;
    if (file !== undefined) {
      const follow = { ...options, file, configure, taken, refused };
      background('configuration', (at) => followConfiguration(follow, at));
    }
    connection.start();
    logger.info({ agentId, zoneId, accounts: accounts.size, gateway: clouddriver.grpc }, 'agent started');
  }

  return {
    connection,
    start: async (signal) => {
      try {
        await start(signal);
      } catch (error) {
        loops.abort();
        await scope.close().catch(() => undefined);
        throw error;
      }
    },
    stop: async () => {
      // Before the loops and the accounts, which operations under way still need.
      await connection.stop({ drainMs: tasks.drainSeconds * 1_000 });
      loops.abort();
      await scope.close();
    },
  };
}

function streamAccountOf(
  { kubernetes, tasks }: AgentConfiguration,
  accounts: ServedAccounts,
  { observer }: Pick<AgentMetrics, 'observer'>,
  logger: Logger,
): StreamAccount {
  return createStreamAccount({
    accountOf: (name) => accounts.get(name),
    budget: new ListBudget({ total: limitOf(tasks.totalBudget), perAccount: limitOf(tasks.budgetPerAccount) }),
    backoff: { initialMs: kubernetes.reconnectTimeoutMs, maximumMs: 120_000, multiplier: 1.6, jitter: 0.2 },
    watchSeconds,
    kindsPeriodMs,
    observer,
    logger,
    random: Math.random,
  });
}

/** 0 is none. */
function limitOf(setting: number): number {
  return setting > 0 ? setting : Number.POSITIVE_INFINITY;
}

/** @throws GatewayError `configuration`; values of a file were checked when it was read */
function addressesOf(clouddriver: AgentConfiguration['clouddriver']): readonly string[] {
  const addresses = gatewayAddresses(clouddriver);
  if (typeof addresses !== 'string') return addresses;
  throw new GatewayError('configuration', `clouddriver.grpc: ${addresses}`, { field: 'clouddriver.grpc' });
}

function idsOf({ configuration, environment, hostname }: AgentServiceOptions): Record<'agentId' | 'zoneId', string> {
  const agentId = configuration.agentId ?? environment['POD_NAME'] ?? hostname;
  const [deployment, namespace] = [environment['DEPLOYMENT_NAME'], environment['POD_NAMESPACE']];
  const zoneId = configuration.zoneId ?? (deployment && namespace ? `${deployment}_${namespace}` : agentId);
  return { agentId, zoneId };
}

function warnOfEntriesWithoutEffect(entries: readonly string[], logger: Logger): void {
  for (const entry of withoutEffect(entries)) {
    const expected = 'expected a status (500) or a Kubernetes reason (InternalError); message texts are not matched';
    logger.warn({ entry }, `an entry of kubernetes.retries.retryableErrors has no effect: ${expected}`);
  }
}

function limitsOf({ clouddriver, tasks, timeoutSeconds }: AgentConfiguration): Partial<AgentConnectionLimits> {
  const { backoff } = clouddriver;
  return {
    backoff: {
      initialMs: Math.round(backoff.baseDelay * nanosecondMs),
      maximumMs: Math.round(backoff.maxDelay * nanosecondMs),
      multiplier: backoff.multiplier,
      jitter: backoff.jitter,
    },
    keepaliveMs: clouddriver.keepAliveHeartbeatSeconds * 1_000,
    keepaliveTimeoutMs:
      clouddriver.keepAliveTimeOutSeconds > 0
        ? clouddriver.keepAliveTimeOutSeconds * 1_000
        : defaultLimits.keepaliveTimeoutMs,
    maximumExecuting: tasks.maxOperations,
    defaultTimeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1_000 : defaultLimits.defaultTimeoutMs,
  };
}

/** Counts and times what it executes. */
function measured(execute: Execute, { operations }: Pick<AgentMetrics, 'operations'>): Execute {
  return async (operation, context) => {
    const end = operations.startTimer({ type: operation.request.case ?? 'unknown' });
    try {
      const execution = await execute(operation, context);
      end({ outcome: execution.status < 300 ? 'completed' : 'failed' });
      return execution;
    } catch (error) {
      end({ outcome: 'failed' });
      throw error;
    }
  };
}
