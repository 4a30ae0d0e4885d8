/** An agent that comes while another one may still cache without knowing that it is cut off does not begin to cache. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { cluster, connected, cutOff } from './cut-off.js';
import { breaks, type FencedRun } from './fence.js';

/** The second agent of every account is frozen until it is lost, and comes back at the moment of the cut. */
const comers: FencedRun = {
  cluster,
  timeoutMs: 1_000,
  force: async (cluster) => {
    const [, group] = cluster.groups;
    group!.process.freeze();
    const frozen = new Set(group!.agents.map(({ id }) => id));
    const left = await waitFor(
      async () => {
        const agents = await connected(cluster);
        return agents.every(({ agentId, caching }) => caching && !frozen.has(agentId)) && agents;
      },
      { description: 'the other agents to cache everything' },
    );
    const replica = cluster.replicas.find(({ id }) => left.some(({ clouddriverId }) => clouddriverId === id));
    await cutOff(cluster, replica!, () => group!.process.thaw());
  },
};

test('a claim that begins to cache while another agent may go on', (t) =>
  breaks(t, comers, 'one cacher', [
    {
      file: 'src/store/assignments/assignment-rules.ts',
      from: 'heldBy === undefined || heldBy === connection.agentId',
      to: 'true',
    },
  ]));
