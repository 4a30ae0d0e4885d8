/** An agent executes an operation once: also one that comes twice, and one that an earlier process of it was sent. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { copySources } from '../build.js';
import { Callers } from '../callers.js';
import { readHistory } from '../history.js';
import { breaks, passes, type FencedRun } from './fence.js';

const timeoutMs = 5_000;

/** A network that repeats operations, and a process of agents that is killed while it executes some. */
const repeated: FencedRun = {
  cluster: {
    replicas: 1,
    groups: 1,
    accounts: 4,
    accountsPerAgent: 2,
    perAccount: 1,
    latencyMs: 400,
    slowMs: 400,
    duplicates: 0.3,
  },
  timeoutMs,
  force: async (cluster) => {
    const callers = new Callers({ cluster, concurrency: 8, seed: 2, timeoutMs, reading: 0 });
    callers.start();
    await waitFor(() => callers.count >= 40);
    const [group] = cluster.groups;
    await waitFor(() => {
      const answered = new Set(readHistory(cluster.directory).flatMap((e) => (e.type === 'answered' ? [e.id] : [])));
      return readHistory(cluster.directory).some((event) => event.type === 'executed' && !answered.has(event.id));
    });
    await group!.process.kill();
    group!.start();
    await cluster.agentsReady();
    await callers.stop();
  },
};

const file = 'src/agent/operation-runner.ts';

test('the sources as they are', (t) => passes(t, repeated));

test('an agent that does not look whether it knows an operation', (t) =>
  breaks(t, repeated, 'executed once', [
    { file, from: 'if (known !== undefined) {', to: 'if (known !== undefined && false) {' },
    { file, from: 'if (this.#acknowledged.has(operation.id)) return', to: 'if (false) return' },
  ]));

test('an agent that does what its predecessor was sent', (t) =>
  breaks(t, repeated, 'executed once', [
    { file, from: 'operation.boundEpoch < this.#options.firstEpoch()', to: 'false' },
  ]));

test('a patch whose text is not there', async (t) => {
  const patch = { file: 'src/main.ts', from: 'no such text', to: '' };
  await t.rejects(copySources([patch]), { message: /there 0 times/u });
});
