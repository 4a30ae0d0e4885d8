/** docs/metrics.md: every metric with its type, labels and meaning, from the registry itself. */

import { createMetrics } from './metrics.js';

const head = `# Metrics

\`GET /metrics\` on port 7002 serves metrics in the Prometheus text format. Times are in seconds, sizes in bytes, and names follow the
Prometheus conventions. The values of every label are limited in number: a label never contains an operation, account or agent. To
start, use the Grafana dashboard and the alert rules in [k8s/monitoring](../k8s/monitoring/). Each alert has a section in the
[runbook](runbook.md).

This page is generated from the code by \`npm run generate\`.
`;

const processHead = `
## Process

prom-client provides these: CPU, memory, file descriptors, event loop delay, garbage collection. If
\`nodejs_eventloop_lag_p99_seconds\` is above 0.1, the replica has more work than one core can do.

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

/** prom-client keeps them in a property that its types do not name. */
function labelsOf(metric: object): string {
  const { labelNames = [] } = metric as { readonly labelNames?: readonly string[] };
  return labelNames.map((name) => `\`${name}\``).join(', ');
}
