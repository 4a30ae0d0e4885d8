/** Worker: the product's agents, many in one process, each with one account at the same API server. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAgentConfiguration } from '../src/agent/configuration/read.js';
import { createAgentService, type AgentService } from '../src/agent/service.js';
import { silentLogger } from '../src/core/logger.js';
import { waitFor } from '../test/wait.js';
import { agentConfiguration } from './agent-configuration.js';
import { answerCalls } from './child.js';

export interface ApiAgentsOptions {
  /** `host:port` of the gateway. */
  readonly address: string;
  /** One per agent. */
  readonly accounts: readonly string[];
  /** Address of the API server. */
  readonly server: string;
}

/** Resolves once all are registered. */
async function connect({ address, accounts, server }: ApiAgentsOptions): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-bench-'));
  try {
    const services = await Promise.all(
      accounts.map(async (account) => {
        const file = JSON.stringify(await agentConfiguration(directory, address, account, server));
        return start(file, account);
      }),
    );
    await waitFor(() => services.every(({ connection }) => connection.state.name === 'active'), { intervalMs: 100 });
  } finally {
    // Each has read its kubeconfig, which it reads again only after five minutes.
    await rm(directory, { recursive: true });
  }
}

async function start(file: string, account: string): Promise<AgentService> {
  const { configuration } = parseAgentConfiguration(file, `${account}.json`, {});
  const service = createAgentService({
    configuration,
    version: 'bench',
    logger: silentLogger,
    environment: {},
    hostname: 'bench',
  });
  await service.start(AbortSignal.timeout(60_000));
  return service;
}

answerCalls({ connect });
