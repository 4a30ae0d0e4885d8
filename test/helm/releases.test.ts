/** A release of each chart, installed on a real API server, takes the values of every row: nothing in it is immutable. */

import { join } from 'node:path';
import { test } from 'tap';
import { agentRows } from './agent-values.js';
import { gatewayRows } from './gateway-values.js';
import { helmDirectory, type Values } from './rendering.js';
import { targetCluster } from './target-cluster.js';

const { missing, start } = await targetCluster();

const charts: Readonly<Record<string, Readonly<Record<string, Values>>>> = {
  'agent-gateway': gatewayRows,
  agent: agentRows,
};

test('releases', { skip: missing }, async (t) => {
  const { kubernetes, helm } = await start(t);
  const call = (command: string, args: readonly string[], values: Values = {}): Promise<string> => {
    const access = ['--kubeconfig', kubernetes.adminKubeconfig, '--namespace=other'];
    return helm([command, 'release', ...args, ...access], { stdin: JSON.stringify(values) });
  };
  for (const [chart, rows] of Object.entries(charts)) {
    await t.test(chart, async (t) => {
      for (const [name, values] of Object.entries(rows)) {
        const answer = await call('upgrade', [join(helmDirectory, chart), '--install', '--values=-'], values);
        t.match(answer, /STATUS: deployed/, name);
      }
      t.match(await call('uninstall', []), /uninstalled/);
    });
  }
});
