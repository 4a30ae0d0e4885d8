/** Two processes with one agent id, such as those of a Deployment with a fixed id: an operation is done by one of them. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { Callers } from '../callers.js';
import { breaks, passes, type FencedRun } from './fence.js';
import { agentsOwnCheck, sameProcess } from './process-fences.js';

const timeoutMs = 5_000;

/** Two processes with the same ids, which throw each other out all the time. */
const rivals: FencedRun = {
  cluster: { replicas: 2, groups: 1, accounts: 6, accountsPerAgent: 2, perAccount: 1, latencyMs: 400, slowMs: 800 },
  timeoutMs,
  // The newer process caches at once; what the older one still sends changes nothing.
  ignored: ['one cacher'],
  force: async (cluster) => {
    const callers = new Callers({ cluster, concurrency: 12, seed: 3, timeoutMs, reading: 0 });
    callers.start();
    const [group] = cluster.groups;
    const others = cluster.startRivals(group!);
    await waitFor(() => callers.count >= 150, { timeoutMs: 60_000, description: '150 operations to be given' });
    await others.end();
    await cluster.agentsReady();
    await callers.stop();
  },
};

test('the sources as they are', (t) => passes(t, rivals));

test('agents that do what they are sent: the gateway alone', (t) =>
  passes(t, { ...rivals, patches: [agentsOwnCheck] }));

test('a gateway that sends operations to any process: the agents alone', (t) =>
  passes(t, { ...rivals, patches: sameProcess }));

test('operations of a rival that are sent, and done', (t) =>
  breaks(t, rivals, 'executed once', [agentsOwnCheck, ...sameProcess]));
