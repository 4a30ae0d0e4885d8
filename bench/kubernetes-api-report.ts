/** The Kubernetes API's tables and targets. */

import type { ApiRoute, KubernetesApiReport } from './kubernetes-api.js';
import { table, type Target } from './report.js';

const whole = (value: number): string => Math.round(value).toLocaleString('en');
const percent = (ratio: number): string => `${(100 * ratio).toFixed(0)} %`;
const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
const kibibytes = (bytes: number): string => (bytes / 1_024).toFixed(1);

export function kubernetesApiTables({ cases, lists, watches }: KubernetesApiReport): string {
  const requests = table(
    [
      ['requests', 'in flight', 'req/s', 'req/CPU s', 'of bare', 'agent, µs each', 'p50 ms', 'p99 ms'],
      ...cases.map((each) => [
        each.route,
        whole(each.inFlight),
        whole(each.requestsPerSecond),
        ...(each.route === 'direct' ? ['', ''] : [whole(each.requestsPerCpuSecond), percent(each.ratio)]),
        ['local', 'forwarded'].includes(each.route) ? whole(each.agentMicroseconds) : '',
        each.p50Ms.toFixed(2),
        each.p99Ms.toFixed(2),
      ]),
    ],
    1,
  );
  const read = table(
    [
      ['list of 200 MiB', 'MiB/s', 'of bare', 'resident set grows by, MiB'],
      ...lists.map((each) => [
        each.route,
        mebibytes(each.bytesPerSecond),
        percent(each.ratio),
        mebibytes(each.residentGrowth),
      ]),
    ],
    1,
  );
  const idle = table(
    [
      [`${whole(watches.watches)} idle watches over ${whole(watches.agents)} agents`, 'KiB each'],
      ['resident set of the owner', kibibytes(watches.ownerBytes)],
      ['resident set of an entry', kibibytes(watches.entryBytes)],
    ],
    1,
  );
  return [requests, read, idle].join('\n\n');
}

export function kubernetesApiTargets({ cases, lists, watches }: KubernetesApiReport): readonly Target[] {
  const at = (route: ApiRoute, inFlight: number) =>
    cases.find((each) => each.route === route && each.inFlight === inFlight);
  const ratio = (route: ApiRoute) => 100 * (at(route, 64)?.ratio ?? 0);
  const added = (route: ApiRoute) => ((at(route, 1)?.p50Ms ?? Number.NaN) - (at('direct', 1)?.p50Ms ?? 0)) * 1_000;
  const list = lists.find(({ route }) => route === 'forwarded');
  const least = (name: string, value: number, limit: number): Target => ({
    name: `Kubernetes API, ${name}`,
    ...{ value, limit, unit: '%', least: true },
  });
  const most = (name: string, value: number, limit: number, unit: string): Target => ({
    name: `Kubernetes API, ${name}`,
    ...{ value, limit, unit, least: false },
  });
  return [
    least('local, of the bare proxy', ratio('local'), 70),
    least('forwarded, of the bare proxy', ratio('forwarded'), 45),
    most('local, added to one request', added('local'), 500, 'µs'),
    most('forwarded, added to one request', added('forwarded'), 1_000, 'µs'),
    least('list through two replicas, of the bare proxy', 100 * (list?.ratio ?? 0), 50),
    most('list, resident set of a replica grows by', (list?.residentGrowth ?? Number.NaN) / 2 ** 20, 32, 'MiB'),
    most('an idle watch at its owner', watches.ownerBytes / 1_024, 40, 'KiB'),
    most('an idle watch at an entry', watches.entryBytes / 1_024, 30, 'KiB'),
  ];
}
