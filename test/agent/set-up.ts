/** A connection to a gateway double, and what it did, for tests. */

import type { Test } from 'tap';
import type { AgentConnectionOptions, AgentConnectionLimits } from '../../src/agent/connection-options.js';
import { AgentConnection } from '../../src/agent/connection.js';
import type { Execution } from '../../src/agent/operation-results.js';
import { silentLogger, type Logger } from '../../src/core/logger.js';
import type { Operation } from '../../src/protocol/generated/ops/operations_pb.js';
import { waitFor } from '../wait.js';
import {
  startGatewayDouble,
  type AgentStreamDouble,
  type GatewayDouble,
  type GatewayDoubleOptions,
} from './gateway-double.js';

export const fast = { initialMs: 10, multiplier: 1.6, jitter: 0, maximumMs: 50 };

export interface Setup {
  readonly gateway: GatewayDouble;
  readonly connection: AgentConnection;
  readonly states: string[];
  readonly executed: string[];
}

interface SetupOptions extends GatewayDoubleOptions {
  readonly limits?: Partial<AgentConnectionLimits>;
  readonly execute?: AgentConnectionOptions['execute'];
  readonly onCaching?: AgentConnectionOptions['onCaching'];
  readonly onState?: () => void;
  readonly dynamicAccounts?: AgentConnectionOptions['dynamicAccounts'];
  readonly now?: () => number;
  readonly logger?: Logger;
  readonly addresses?: (gateway: GatewayDouble) => readonly string[];
}

export async function setUp(t: Test, options: SetupOptions = {}): Promise<Setup> {
  const gateway = await startGatewayDouble(options);
  t.teardown(() => gateway.stop());
  const states: string[] = [];
  const executed: string[] = [];
  const execute = options.execute ?? (async (): Promise<Execution> => ({ status: 200 }));
  const connection = new AgentConnection({
    addresses: options.addresses?.(gateway) ?? [gateway.address],
    registration: { agentId: 'agent-1', zoneId: 'zone', version: '1', accounts: [{ name: 'a' }, { name: 'b' }] },
    execute: (operation: Operation, context) => {
      executed.push(operation.id);
      return execute(operation, context);
    },
    logger: options.logger ?? silentLogger,
    random: () => 0,
    limits: { backoff: fast, refusedBackoff: { ...fast, initialMs: 60_000, maximumMs: 60_000 }, ...options.limits },
    onState: (state) => {
      states.push(state.name);
      options.onState?.();
    },
    ...(options.dynamicAccounts === undefined ? {} : { dynamicAccounts: options.dynamicAccounts }),
    ...(options.now === undefined ? {} : { now: options.now }),
    ...(options.onCaching === undefined ? {} : { onCaching: options.onCaching }),
  });
  t.teardown(() => connection.stop());
  connection.start();
  return { gateway, connection, states, executed };
}

export async function active({ connection }: Setup): Promise<void> {
  await waitFor(() => connection.state.name === 'active', { description: 'the connection to be active' });
}

/** The n-th stream of the gateway, once it is registered. */
export function streamOf({ gateway }: Setup, index: number): Promise<AgentStreamDouble> {
  return waitFor(() => (gateway.stream(index)?.registration === undefined ? undefined : gateway.stream(index)), {
    description: `stream ${index}`,
  });
}
