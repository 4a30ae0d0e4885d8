/** CPU profiles of the replicas under load, and where their time went: self time by function, and by package or folder. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './child.js';
import { table } from './report.js';
import { run, serversOf, type Case, type Servers } from './throughput.js';

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const profiled: readonly Case[] = [
  { kind: 'list', form: 'json', route: 'bare' },
  { kind: 'list', form: 'json', route: 'local' },
  { kind: 'list', form: 'text', route: 'local' },
  { kind: 'deploy', form: 'json', route: 'local' },
  { kind: 'list', form: 'json', route: 'forwarded' },
];
const warmUpMs = 2_000;
const profileMs = 5_000;
const shown = 40;
const idle = new Set(['(idle)', '(program)', '(root)']);

/** A process that is profiled. */
export interface ProfiledProcess {
  /** Of its file. */
  readonly name: string;
  readonly child: Child;
}

/** Writes one .cpuprofile (for the browser's developer tools) per case and server; gives the summaries as text. */
export async function profileCases(servers: Servers, load: Child, directory: string): Promise<string> {
  const summaries: string[] = [];
  for (const each of profiled) {
    const children = serversOf(servers, each.route).map(({ child }) => child);
    const processes = children.map((child, index) => {
      const role = children.length === 1 ? '' : index === 0 ? '-entry' : '-owner';
      return { name: `${each.route}-${each.kind}-${each.form}${role}`, child };
    });
    summaries.push(await profileRun(processes, directory, (durationMs) => run(servers, load, each, durationMs)));
  }
  return summaries.join('\n\n');
}

/** Warms up, and writes a profile of each process over one run. @returns the summaries as text */
export async function profileRun(
  processes: readonly ProfiledProcess[],
  directory: string,
  load: (durationMs: number) => Promise<{ readonly operations: number }>,
): Promise<string> {
  await load(warmUpMs);
  for (const { child } of processes) await child.call('startProfile');
  const { operations } = await load(profileMs);
  const summaries: string[] = [];
  for (const { name, child } of processes) {
    const file = join(directory, `${name}.cpuprofile`);
    await child.call('stopProfile', file);
    summaries.push(`## ${name}\n\n${summarize(JSON.parse(readFileSync(file, 'utf8')) as Profile, operations)}`);
  }
  return summaries.join('\n\n');
}

function summarize({ nodes, samples, timeDeltas }: Profile, operations: number): string {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byFunction = new Map<string, number>();
  const byPlace = new Map<string, number>();
  let total = 0;
  for (const [index, sample] of samples.entries()) {
    const frame = frames.get(sample);
    if (frame === undefined || idle.has(frame.functionName)) continue;
    const { functionName, url, lineNumber } = frame;
    const time = timeDeltas[index] ?? 0;
    const place = shorten(url);
    add(byFunction, `${functionName || '(anonymous)'} ${place}:${lineNumber + 1}`, time);
    add(byPlace, packageOf(place), time);
    total += time;
  }
  const rows = (times: ReadonlyMap<string, number>, count: number) =>
    [...times]
      .sort(([, one], [, other]) => other - one)
      .slice(0, count)
      .map(([name, time]) => [name, (time / operations).toFixed(2), `${((100 * time) / total).toFixed(1)} %`]);
  const head = ['', 'µs/op', 'share'];
  return [
    `${operations} operations, ${(total / operations).toFixed(0)} µs of JavaScript and collector each`,
    table([head, ...rows(byPlace, 16)], 1),
    table([head, ...rows(byFunction, shown)], 1),
  ].join('\n\n');
}

function add(times: Map<string, number>, key: string, time: number): void {
  times.set(key, (times.get(key) ?? 0) + time);
}

function shorten(url: string): string {
  return url.replace(/^file:\/\//u, '').replace(`${process.cwd()}/`, '') || 'V8';
}

function packageOf(place: string): string {
  return (
    /node_modules\/((?:@[^/]+\/)?[^/]+)/u.exec(place)?.[1] ??
    /^dist\/(.*)\.js$/u.exec(place)?.[1] ??
    /^(node:[^/]+)/u.exec(place)?.[1] ??
    place
  );
}
