/** docs/metrics.md: every metric with its type, labels and meaning, from the registry itself. */

import { createMetrics } from './metrics.js';

const head = `# Metrics

\`GET /metrics\` on port 7002, in the Prometheus text format. Times are in seconds, sizes in
bytes, names as the Prometheus conventions have them. No label has values without a bound: no operation, account or agent is
ever one. What to look at first is in [k8s/monitoring](../k8s/monitoring/): a Grafana dashboard and alert rules, each of which
has a section in the [runbook](runbook.md).

This page is made from the code: \`npm run generate\`.
`;

const processHead = `
## Process

From prom-client: CPU, memory, descriptors, event loop delay, garbage collection. \`nodejs_eventloop_lag_p99_seconds\` above
0.1 means that a replica has more to do than one core can.

`;

interface Described {
  readonly name: string;
  readonly help: string;
  readonly type: string;
}

export async function metricsPage(): Promise<string> {
  const { registry, collectProcess } = createMetrics('instance', 'version');
  collectProcess();
  try {
    const all: Described[] = (await registry.getMetricsAsJSON()).map(({ name, help, type }) => ({
      name,
      help,
      type: String(type),
    }));
    const labels = new Map(registry.getMetricsAsArray().map((metric) => [metric.name, labelsOf(metric)]));
    const rows = (own: boolean) =>
      all
        .filter(({ name }) => name.startsWith('agent_gateway_') === own)
        .map(({ name, help, type }) => `| \`${name}\` | ${type} | ${labels.get(name) ?? ''} | ${help} |\n`);
    const table = '| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n';
    return `${head}\n## The gateway\n\n${table}${rows(true).join('')}${processHead}${table}${rows(false).join('')}`;
  } finally {
    registry.clear();
  }
}

/** prom-client keeps them in a property that its types do not declare. */
function labelsOf(metric: object): string {
  const { labelNames = [] } = metric as { readonly labelNames?: readonly string[] };
  return labelNames.map((name) => `\`${name}\``).join(', ');
}
