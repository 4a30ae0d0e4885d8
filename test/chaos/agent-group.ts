/** A process of agents, seen from the runner: one after the other, as it is killed and started again. */

import { join } from 'node:path';
import { waitFor } from '../wait.js';
import type { WorkerOptions } from './agent-worker.js';
import type { HistoryWriter } from './history.js';
import { NodeProcess } from './node-process.js';

export interface AgentGroupOptions extends Omit<WorkerOptions, 'process'> {
  readonly name: string;
  readonly history: HistoryWriter;
  /** Directory of the sources that it runs. */
  readonly build: string;
}

export class AgentGroup {
  readonly name: string;
  readonly #options: AgentGroupOptions;
  #process: NodeProcess | undefined;
  #lives = 0;
  #ended = false;
  #registered = 0;

  constructor(options: AgentGroupOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get agents(): WorkerOptions['agents'] {
    return this.#options.agents;
  }

  /** How many of its agents are registered now. */
  get registered(): number {
    return this.#registered;
  }

  get process(): NodeProcess {
    if (this.#process === undefined) throw new Error(`agents ${this.name} were not started`);
    return this.#process;
  }

  /** Starts a life; ready() waits for its agents. @throws Error after end() */
  start(): void {
    if (this.#ended) throw new Error(`${this.name} has ended`);
    const { name: group, build, history, directory, seed, ...options } = this.#options;
    this.#lives += 1;
    this.#registered = 0;
    const name = `${group}-${this.#lives}`;
    const worker: WorkerOptions = { ...options, directory, process: name, seed: seed + this.#lives };
    this.#process = new NodeProcess({
      name,
      history,
      directory,
      cwd: build,
      args: [join(build, 'test/chaos/agent-worker.ts'), JSON.stringify(worker)],
      onLine: (line) => {
        if (line.startsWith('{')) this.#registered = (JSON.parse(line) as { registered: number }).registered;
      },
    });
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#process?.kill();
  }

  async ready(timeoutMs: number): Promise<void> {
    await waitFor(() => this.registered === this.agents.length, {
      timeoutMs,
      intervalMs: 50,
      description: `the ${this.agents.length} agents of ${this.name} to be registered`,
    });
  }
}
