/** Dashboard, alert rules, docs/metrics.md and docs/runbook.md say the same as the registry; promtool agrees. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { parse } from 'yaml';
import { createMetrics } from '../../src/gateway/telemetry/metrics.js';

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { groups } = parse(read('k8s/monitoring/alerts.yaml')) as { groups: { rules: Alert[] }[] };
const alerts = groups.flatMap(({ rules }) => rules);
const { panels } = JSON.parse(read('k8s/monitoring/dashboard.json')) as { panels: Panel[] };
const expressions = [
  ...alerts.map(({ alert, expr }) => ({ where: alert, expr })),
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: title, expr }))),
];

/** Names as they are scraped, with their labels. */
function scraped(): Map<string, ReadonlySet<string>> {
  const { registry, collectProcess } = createMetrics('instance', 'version');
  collectProcess();
  const names = new Map<string, ReadonlySet<string>>();
  for (const metric of registry.getMetricsAsArray()) {
    const { name, type, labelNames = [] } = metric as { name: string; type: unknown; labelNames?: string[] };
    // Prometheus adds where it scraped.
    const labels = new Set([...labelNames, 'instance', 'job', 'le']);
    for (const suffix of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) names.set(name + suffix, labels);
  }
  registry.clear();
  return names;
}

test('the dashboard and the alerts refer to metrics and labels that exist', (t) => {
  const names = scraped();
  for (const { where, expr } of expressions) {
    const used = [...expr.matchAll(/\b((?:agent_gateway|nodejs|process)_\w+)(?:\{([^}]*)\})?/gu)];
    t.ok(used.length > 0, `${where}: uses a metric`, { diagnostic: false });
    for (const [, name = '', matchers = ''] of used) {
      const labels = names.get(name);
      t.ok(labels, `${where}: ${name}`);
      const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/gu)].flatMap(([, list = '']) => list.split(','));
      const matched = [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/gu)].map(([, label = '']) => label);
      for (const label of [...matched, ...grouped.map((one) => one.trim())])
        t.ok(labels?.has(label), `${where}: ${name} has the label ${label}`);
    }
  }
  t.end();
});

test('promtool takes the rules and their tests, and every expression of the dashboard', (t) => {
  const promtool = (...args: string[]) =>
    execFileSync('promtool', args, { cwd: join(root, 'k8s/monitoring'), encoding: 'utf8' });
  t.match(promtool('check', 'rules', 'alerts.yaml'), new RegExp(`SUCCESS: ${alerts.length} rules found`, 'u'));
  t.match(promtool('test', 'rules', 'alerts.test.yaml'), /SUCCESS/);
  const directory = mkdtempSync(join(tmpdir(), 'agent-gateway-dashboard-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const rules = expressions.map(({ expr }, index) => ({
    record: `dashboard:${index}`,
    expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
  }));
  writeFileSync(join(directory, 'rules.yaml'), JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  t.match(promtool('check', 'rules', join(directory, 'rules.yaml')), new RegExp(`${rules.length} rules found`, 'u'));
  t.end();
});

test('every alert has its section in the runbook, and every section its alert', (t) => {
  const sections = [...read('docs/runbook.md').matchAll(/^## (\w+)$/gmu)].map(([, name = '']) => name);
  t.same(
    sections,
    alerts.map(({ alert }) => alert),
    'in the same order',
  );
  for (const { alert, annotations } of alerts)
    t.equal(annotations.runbook_url, `docs/runbook.md#${alert.toLowerCase()}`, alert);
  t.end();
});
