/** The end of an agent's old stream must not take away what its new one has registered. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import type { ChaosCluster } from '../cluster.js';
import { readHistory } from '../history.js';
import { breaks, passes, type FencedRun } from './fence.js';

/** How often the agent that registered least did so. */
function dials({ directory, groups }: ChaosCluster): number {
  const events = readHistory(directory);
  const counts = groups
    .flatMap(({ agents }) => agents)
    .map(({ id }) =>
      events.filter((event) => event.type === 'connected' && event.agent === id && event.replica !== null),
    );
  return Math.min(...counts.map(({ length }) => length));
}

/**
 * Agents of the only replica are asked to dial again every other second; they register anew first. A long grace keeps
 * gRPC itself from ending the old connection before that, so the old stream always ends after the new registration.
 */
const reconnects: FencedRun = {
  cluster: {
    replicas: 1,
    groups: 1,
    accounts: 6,
    accountsPerAgent: 1,
    perAccount: 1,
    settings: {
      'kubesvc.grpc.server.maxConnectionAgeSeconds': 2,
      'kubesvc.grpc.server.maxConnectionAgeGraceSeconds': 600,
    },
  },
  timeoutMs: 2_000,
  force: async (cluster) => {
    await waitFor(() => dials(cluster) >= 2, { description: 'every agent to dial twice' });
  },
};

test('the sources as they are', (t) => passes(t, reconnects));

test('a release that does not look at the epoch', (t) =>
  breaks(t, reconnects, 'connected means assigned', [
    {
      file: 'src/store/assignments/release.ts',
      from: '`${instanceId}\\n${agentId}\\n${String(epoch)}`',
      to: '`${instanceId}\\n${agentId}`',
    },
  ]));
