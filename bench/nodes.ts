/** The same operations on servers that run on different versions of Node.js, in turns. */

import { join } from 'node:path';
import type { ReleaseStack } from '../src/core/release-stack.js';
import { nodeDirectory } from '../test/services/node.js';
import { content, table } from './report.js';
import { inRounds } from './rounds.js';
import { startBare } from './servers.js';
import { startServers, type StartedServers, type Stores } from './started-servers.js';
import { cases, measureThroughput, median, run, type CaseReport, type ThroughputOptions } from './throughput.js';

/** One version. */
export interface NodeReport {
  /** As the program says it: `v24.22.3`. */
  readonly version: string;
  /** Of each round. */
  readonly rounds: readonly (readonly CaseReport[])[];
}

/** The program `node` of a version, which is fetched from the npm registry. @param wanted as nodeDirectory() takes it */
export async function nodeProgram(wanted: string): Promise<string> {
  return join(await nodeDirectory(wanted), 'node');
}

/** @param programs of node */
export async function measureNodes(
  programs: readonly string[],
  stores: Stores,
  { rounds, warmUpMs, measureMs }: ThroughputOptions,
  scope: ReleaseStack,
): Promise<NodeReport[]> {
  const all: { readonly version: string; readonly started: StartedServers }[] = [];
  for (const [index, node] of programs.entries()) {
    const bare = await startBare(node);
    scope.push('bare stack', () => bare.child.stop());
    const started = await startServers(bare, stores, `bench_node_${index}`, scope, { node });
    const version = await started.servers.owner.child.call<string>('version');
    all.push({ version, started });
  }
  for (const { servers, load } of all.map(({ started }) => started))
    for (const each of cases) await run(servers, load, each, warmUpMs);
  const measured = await inRounds(all, rounds, ({ started: { servers, load } }) =>
    measureThroughput(servers, load, { rounds: 1, measureMs, warmUpMs: 0 }),
  );
  return all.map(({ version }, index) => ({ version, rounds: measured[index] ?? [] }));
}

/** Operations per CPU second, and how many of the first version's that are. */
export function nodesTable(reports: readonly NodeReport[]): string {
  const [first] = reports;
  const rows = (first?.rounds[0] ?? []).map(({ kind, form, route }, index) => {
    const perCpuSecond = ({ rounds }: NodeReport): number[] =>
      rounds.map((cases) => cases[index]?.operationsPerCpuSecond ?? Number.NaN);
    const ratio = (report: NodeReport): number =>
      median(perCpuSecond(report).map((value, round) => value / ((first && perCpuSecond(first)[round]) ?? Number.NaN)));
    return [
      route,
      content[kind],
      form,
      ...reports.map((report) => Math.round(median(perCpuSecond(report))).toLocaleString('en')),
      ...reports.slice(1).map((report) => `${(100 * ratio(report)).toFixed(0)} %`),
    ];
  });
  const versions = reports.map(({ version }) => `${version} ops/CPU s`);
  const ratios = reports.slice(1).map(({ version }) => `${version} of ${first?.version ?? ''}`);
  return table([['stack', 'operation', 'form', ...versions, ...ratios], ...rows], 3);
}
