/** An agent whose connection broke without its noticing must have stopped to cache before another one begins. */

import { test } from 'tap';
import { accountOf, cluster, connected, cutOff } from './cut-off.js';
import { breaks, passes, type FencedRun } from './fence.js';

const others: FencedRun = {
  cluster,
  timeoutMs: 1_000,
  force: async (cluster) => {
    const agents = await connected(cluster);
    const replica = cluster.replicas.find(({ id }) =>
      agents.some(
        ({ agentId, clouddriverId, caching }) =>
          caching &&
          clouddriverId === id &&
          agents.some((other) => accountOf(other.agentId) === accountOf(agentId) && other.clouddriverId !== id),
      ),
    );
    await cutOff(cluster, replica!);
  },
};

test('the sources as they are', async (t) => {
  await passes(t, others);
});

test('a release that hands caching over at once', (t) =>
  breaks(t, others, 'one cacher', [
    {
      file: 'src/gateway/agents/registry.ts',
      from: 'cachingGraceMs = error === undefined ? 0 : session.cachingGraceMs',
      to: 'cachingGraceMs = 0',
    },
  ]));
