/**
 * COMPOSITION ROOT: the front of composition/, which puts one replica together. start() goes through five phases, each a
 * function whose result the next ones are given:
 *
 * 1. connect: metrics → files of certificates and identities → database and its schema → mirror (may degrade) → discovery
 * 2. assemble: agents with their lease → operations → dynamic accounts; nobody is let in yet
 * 3. joinCluster: lease → what a predecessor left → background loops
 * 4. openPorts: REST and gRPC services → agents' port → REST port → renewal of certificates
 * 5. takeWork: ready
 *
 * The marks `start: ...` (User Timing) say when a step was reached, for `npm run bench -- --only start`.
 * A phase pushes on the gateway's lifetime how to let go of what it takes. stop() drains, aborts `lifetime.stopping`, which
 * ends loops and waits, and lets go of everything in reverse order; a start that fails does the same without a drain.
 */

import type { Logger as PinoLogger } from 'pino';
import type { Environment } from '../core/environment.js';
import { toGatewayError } from '../core/errors.js';
import { ReleaseStack } from '../core/release-stack.js';
import type { Discovery } from '../discovery/discovery.js';
import { assemble } from './composition/assemble.js';
import { connect } from './composition/connect.js';
import { GatewayLifetime } from './composition/gateway-lifetime.js';
import { joinCluster } from './composition/join-cluster.js';
import { openPorts } from './composition/open-ports.js';
import type { StartContext } from './composition/start-context.js';
import { takeWork } from './composition/take-work.js';
import type { Config } from './config/config.js';

export interface GatewayOptions {
  readonly config: Config;
  readonly version: string;
  readonly logger: PinoLogger;
  /** Variables that kubeconfigs may be taken from, and that lead to Kubernetes (proxies); default: none. */
  readonly environment?: Environment;
  /** For tests. */
  readonly overrides?: {
    /** In place of what the configuration names. */
    readonly discovery?: Discovery;
    /** Wall clock, Unix ms. */
    readonly now?: () => number;
    /** Where the phases push how to let go of what they take. */
    readonly releases?: ReleaseStack;
  };
}

export interface Addresses {
  readonly agentsPort: number;
  readonly restPort: number;
}

export interface Gateway {
  /** @throws GatewayError naming the setting; what was started is released */
  start(signal: AbortSignal): Promise<Addresses>;
  /** Drains and releases, within kubesvc.drain.timeoutMs; calling it again gives the same promise. */
  stop(): Promise<void>;
  /** Rejects when a background loop dies, so that a half-dead replica does not stay ready; never resolves before stop(). */
  readonly done: Promise<void>;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { config, version, logger, environment = {}, overrides = {} } = options;
  const { discovery, now = Date.now, releases = new ReleaseStack() } = overrides;
  let ended!: () => void;
  let loopDied!: (error: unknown) => void;
  const done = new Promise<void>((resolve, reject) => {
    ended = resolve;
    loopDied = reject;
  });
  done.catch(() => undefined);
  const lifetime = new GatewayLifetime({ releases, loopDied, logger });
  const context: StartContext = { config, version, logger, environment, discovery, now, lifetime };
  let drain: ((deadline: AbortSignal) => Promise<void>) | undefined;
  let started: Promise<Addresses> | undefined;
  let stopped: Promise<void> | undefined;

  async function start(signal: AbortSignal): Promise<Addresses> {
    try {
      const dependencies = await connect(context, signal);
      const domain = assemble(context, dependencies);
      performance.mark('start: assembled');
      await joinCluster(context, dependencies, domain, signal);
      performance.mark('start: lease taken, predecessor adopted');
      const ports = await openPorts(context, dependencies, domain);
      performance.mark('start: ports open');
      drain = takeWork(context, dependencies, domain, ports);
      return ports.numbers;
    } catch (error) {
      await lifetime.close().catch(() => undefined);
      throw toGatewayError(error);
    }
  }

  async function stop(): Promise<void> {
    const deadline = AbortSignal.timeout(config.kubesvc.drain.timeoutMs);
    await started?.catch(() => undefined);
    await drain?.(deadline);
    await lifetime.close().finally(ended);
  }

  return {
    start: (signal) => {
      started ??= start(signal);
      return started;
    },
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
    done,
  };
}
