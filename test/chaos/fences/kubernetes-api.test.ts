/** A request of the Kubernetes API whose owner is lost after it was sent must not be sent to anybody again. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { ApiCallers } from '../api-callers.js';
import { breaks, type FencedRun } from './fence.js';

/** The connections between two replicas are cut while requests take their time at the agents. */
const cuts: FencedRun = {
  cluster: { replicas: 2, groups: 1, accounts: 4, accountsPerAgent: 1, perAccount: 1, latencyMs: 400 },
  timeoutMs: 1_000,
  force: async (cluster) => {
    const targets = () => cluster.running;
    const callers = new ApiCallers({ cluster, concurrency: 30, seed: 1, targets, pauseMs: 10 });
    callers.start();
    for (let count = 100; count <= 300; count += 100) {
      await waitFor(() => callers.count >= count, { description: 'requests to be under way' });
      for (const { proxies } of cluster.replicas) await proxies.peers.cut();
      for (const { proxies } of cluster.replicas) await proxies.peers.heal();
    }
    await callers.stop();
  },
};

test('an owner that is lost counts as one that was sent nothing', (t) =>
  breaks(t, cuts, 'API request sent once', [
    { file: 'src/gateway/peers/api-forwarding.ts', from: 'unsent: !sent', to: 'unsent: true' },
  ]));
