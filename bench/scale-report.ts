/** The report of `--only scale` as Markdown, and its targets. */

import type { Target } from './report.js';
import { table } from './report.js';
import type { ScaleReport } from './scale.js';

const stalls = ['replica', 'database', 'redis', 'cores'] as const;

export function scaleTable(reports: readonly ScaleReport[]): string {
  const row = (name: string, value: (report: ScaleReport) => string) => [name, ...reports.map(value)];
  return table(
    [
      row('agents x accounts', ({ agents, accounts }) => `${agents} x ${accounts}`),
      row('all registered after', ({ connectSeconds }) => `${connectSeconds.toFixed(1)} s`),
      row('CPU of the gateway for it', ({ connectCpuSeconds }) => `${connectCpuSeconds.toFixed(1)} s`),
      row('SQL statements for each agent', (report) => report.statementsPerRegistration.toFixed(2)),
      row('registrations refused', ({ refused }) => String(refused)),
      row('resident set for each agent', (report) => `${(report.residentBytesPerAgent / 1_024).toFixed(1)} KiB`),
      row('at rest: for', ({ restMs }) => `${(restMs / 1_000).toFixed(0)} s`),
      row('CPU', ({ restCpuPercent }) => `${restCpuPercent.toFixed(1)} % of a core`),
      row('SQL statements', (report) => `${report.restStatementsPerSecond.toFixed(1)} /s`),
      row('Redis commands', (report) => `${report.restCommandsPerSecond.toFixed(1)} /s`),
      row('lost leases', ({ lostLeases }) => String(lostLeases)),
      row('GET /armory/agents', ({ listSeconds }) => `${listSeconds.toFixed(2)} s`),
      row('get by REST, p50 and p99', ({ getP50Ms, getP99Ms }) => `${getP50Ms.toFixed(1)}, ${getP99Ms.toFixed(1)} ms`),
      ...stalls.map((stall) =>
        row(`at rest after 20 s without: ${stall}`, ({ recoveries }) => {
          const seconds = recoveries.get(stall);
          return seconds === undefined ? '-' : `${seconds.toFixed(1)} s`;
        }),
      ),
      row('served again after kill -9', ({ restartSeconds }) => `${restartSeconds.toFixed(1)} s`),
    ],
    1,
  );
}

export function scaleTargets(report: ScaleReport): readonly Target[] {
  const { agents, accounts } = report;
  const most = (name: string, value: number, limit: number, unit: string): Target => ({
    name: `${agents} x ${accounts}: ${name}`,
    ...{ value, limit, unit, least: false },
  });
  return [
    most('registered', report.connectSeconds, 60, 's'),
    // Each may be told once to come back, no more.
    most('refused', report.refused, agents, 'registrations'),
    // With many accounts each, what is kept of an account counts, not what an agent costs.
    ...(accounts === 1 ? [most('resident set for each agent', report.residentBytesPerAgent / 1_024, 40, 'KiB')] : []),
    most('CPU at rest', report.restCpuPercent, 15, '%'),
    most('SQL statements at rest', report.restStatementsPerSecond, 10, '/s'),
    most('lost leases', report.lostLeases, 0, 'leases'),
    most('GET /armory/agents', report.listSeconds, 2, 's'),
    most('get, p99', report.getP99Ms, 50, 'ms'),
    ...[...report.recoveries].map(([stall, seconds]) => most(`at rest after a stall: ${stall}`, seconds, 15, 's')),
    most('served after kill -9', report.restartSeconds, 60, 's'),
  ];
}
