/**
 * Finds agent ids that two processes use at the same time, such as those of a Deployment with a fixed id and two
 * replicas: each registers in turn and ends the other's connection. A restarted process replaces
 * its predecessor once; a process that was replaced and comes back is not dead, so there are two.
 *
 * Every instance sees every change of ownership, so all of them notice; the one that holds the newest stream counts
 * it.
 */

import { BoundedWarnings } from '../../core/bounded-warnings.js';
import type { Logger } from '../../core/logger.js';
import type { Assignment, Ownership } from '../../store/assignments/ownership.js';
import type { Metrics } from '../telemetry/metrics.js';

export interface RivalProcessesOptions {
  readonly instanceId: string;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'rivalProcesses'>;
  /** On the monotonic clock, in ms. */
  readonly now?: () => number;
}

/**
 * A process that was replaced, and is back within this time, has a rival; an agent waits 144 s at most to dial again.
 */
const windowMs = 10 * 60_000;
/** Agents whose last replacement is remembered, and processes of each: beyond, the oldest are forgotten. */
const rememberedAgents = 10_000;
const rememberedProcesses = 10;

interface Replacements {
  /** The newest connection that was seen: an agent has it for each of its accounts. */
  epoch: number;
  /** Processes that another one replaced, and when. */
  readonly replaced: Map<string, number>;
  foughtAt: number;
}

export class RivalProcesses {
  readonly #options: RivalProcessesOptions;
  readonly #now: () => number;
  readonly #warnings: BoundedWarnings;
  /** By agent id, in the order of their newest replacements. */
  readonly #agents = new Map<string, Replacements>();

  constructor(options: RivalProcessesOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#warnings = new BoundedWarnings(options.logger);
    // Prometheus sees an increase only over an earlier value, and a single increase must raise the alert.
    options.metrics.rivalProcesses.inc(0);
  }

  /** Whether two processes have used this id lately. */
  has(agentId: string): boolean {
    const foughtAt = this.#agents.get(agentId)?.foughtAt;
    return foughtAt !== undefined && this.#now() - foughtAt < windowMs;
  }

  /** Must be called for every change of ownership that this instance learns of. */
  changed({ assignments }: Ownership, previous: Ownership | undefined): void {
    for (const assignment of assignments) {
      const before = previous?.assignments.find(({ agentId }) => agentId === assignment.agentId);
      if (before?.processId === undefined || assignment.processId === undefined) continue;
      if (before.processId !== assignment.processId && before.epoch < assignment.epoch)
        this.#replaced(before.processId, assignment, assignment.processId, before.instanceId);
    }
  }

  #replaced(old: string, { agentId, epoch, instanceId }: Assignment, by: string, oldInstanceId: string): void {
    const now = this.#now();
    const known = this.#agents.get(agentId) ?? {
      epoch: 0,
      replaced: new Map<string, number>(),
      foughtAt: Number.NEGATIVE_INFINITY,
    };
    if (epoch <= known.epoch) return;
    known.epoch = epoch;
    keepNewest(known.replaced, old, now, rememberedProcesses);
    keepNewest(this.#agents, agentId, known, rememberedAgents);
    const replacedAt = known.replaced.get(by);
    if (replacedAt === undefined || now - replacedAt > windowMs) return;
    known.foughtAt = now;
    if (instanceId !== this.#options.instanceId) return;
    this.#options.metrics.rivalProcesses.inc();
    this.#warnings.warn(
      { agentId, processId: by, otherProcessId: old, otherInstanceId: oldInstanceId },
      "two processes use one agent id: each ends the other's connection, and their operations may end as agent lost; give each an id of its own",
    );
  }
}

function keepNewest<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, limit: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > limit && oldest !== undefined) map.delete(oldest);
}
