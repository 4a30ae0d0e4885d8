/** The agent (`agent-gateway agent`) as a process of its own, for tests. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { LogLine } from './replica.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** A part of the agent's configuration; what is not said is set for tests. */
export interface AgentFile {
  readonly agentId: string;
  readonly addresses: readonly string[];
  readonly accounts: readonly object[];
  readonly [section: string]: unknown;
}

export class AgentProcess {
  readonly log: LogLine[] = [];
  errors = '';
  readonly #child: ChildProcess;
  readonly #file: string;

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.#file = file;
    child.stderr?.on('data', (text: Buffer) => (this.errors += text.toString()));
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('{')) this.log.push(JSON.parse(line) as LogLine);
      });
    }
  }

  /** Starts one, and ends it at the test's teardown. */
  static async start(
    t: { teardown(release: () => Promise<void>): unknown },
    configuration: AgentFile,
  ): Promise<AgentProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-agent-'));
    const file = join(directory, 'agent.yml');
    await writeFile(file, textOf(configuration));
    const child = spawn(process.execPath, ['--import=tsx', main, 'agent', '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const agent = new AgentProcess(child, file);
    t.teardown(async () => {
      await agent.end();
      await rm(directory, { recursive: true, force: true });
    });
    return agent;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Writes another configuration, which the agent follows. */
  async reconfigure(configuration: AgentFile | string): Promise<void> {
    await writeFile(this.#file, typeof configuration === 'string' ? configuration : textOf(configuration));
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill(signal);
      await exited;
    }
    return this.#child.exitCode;
  }
}

/** JSON is YAML. */
function textOf({ agentId, addresses, accounts, kubernetes = {}, ...sections }: AgentFile): string {
  return JSON.stringify({
    agentId,
    clouddriver: { grpc: addresses.join(','), backoff: { baseDelay: 100_000_000, maxDelay: 1_000_000_000 } },
    kubernetes: { accounts, reconnectTimeoutMs: 100, retries: { backOffMs: 100 }, ...(kubernetes as object) },
    server: { port: 0 },
    logging: { format: 'json' },
    tasks: { drainSeconds: 5 },
    ...sections,
  });
}
