/**
 * Whatever order changes, snapshots, lost streams, new connections, repeated messages and hand-overs come in: once an
 * agent has caught up, the tables equal the cluster.
 */

import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { CachingIngest } from '../../../src/gateway/caching/ingest.js';
import { KindFilter } from '../../../src/gateway/caching/kinds.js';
import { CachingSession, type CachingStreamMessage } from '../../../src/gateway/caching/session.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { CacheStore } from '../../../src/store/cache/cache.js';
import { openDatabase } from '../../../src/store/sql/database.js';
import { migrate } from '../../../src/store/migrations/migrate.js';
import { mariaDbDatabase } from '../../services/databases.js';
import { accounts, connection } from '../../store/fixtures.js';
import { limits } from '../../store/engines.js';
import { waitFor } from '../../wait.js';

const account = 'prod';
const scope = { account, apiVersion: 'v1', kind: 'Pod', namespace: '' };
const signal = AbortSignal.timeout(120_000);

interface Change {
  readonly type: 'modified' | 'deleted';
  readonly name: string;
  readonly version: number;
}

/** The cluster: its objects by name, and everything that ever happened. */
class Cluster {
  readonly objects = new Map<string, number>();
  readonly log: Change[] = [];

  change(name: string, deletes: boolean): void {
    const type = deletes && this.objects.has(name) ? 'deleted' : 'modified';
    const version = this.log.length + 1;
    if (type === 'deleted') this.objects.delete(name);
    else this.objects.set(name, version);
    this.log.push({ type, name, version });
  }
}

const body = (name: string, version: number) =>
  Buffer.from(
    JSON.stringify({ metadata: { name, namespace: 'shop', labels: { 'app.kubernetes.io/name': `v${version}` } } }),
  );

/** An agent's connection, with one stream. Older ones stay, and may go on sending. */
class Agent {
  readonly #session: CachingSession;
  readonly #cluster: Cluster;
  #granted = false;
  #position: number | undefined;
  #listing: { readonly at: number; readonly left: Change[] } | undefined;
  #sequence = 0;
  #acknowledged = 0;
  #last: CachingStreamMessage | undefined;

  constructor(ingest: CachingIngest, cluster: Cluster, agentId: string, epoch: number) {
    this.#cluster = cluster;
    this.#session = new CachingSession(ingest, {
      peer: agentId,
      resumeAt: ({ streams, points }) => {
        this.#granted = streams.has(account);
        this.#position = points[0] === undefined ? undefined : Number(points[0].resourceVersion);
        return true;
      },
      acknowledge: (sequence) => {
        this.#acknowledged = sequence;
        return true;
      },
      stop: () => {
        this.#granted = false;
        return true;
      },
      pause: () => undefined,
      resume: () => undefined,
      end: () => undefined,
    });
    this.#session.receive({ case: 'hello', bytes: 1, agentId, epoch, accounts: [account] });
  }

  get caughtUp(): boolean {
    return this.#position === this.#cluster.log.length && this.#acknowledged === this.#sequence && this.#sequence > 0;
  }

  get stopped(): boolean {
    return this.#session.closed;
  }

  /** Sends what is next: a piece of a listing, or of what changed. */
  step(): void {
    if (!this.#granted) return;
    if (this.#listing !== undefined) {
      const { at, left } = this.#listing;
      if (left.length > 0) this.#events(left.splice(0, 2), '');
      else {
        this.#send({ case: 'snapshotEnd', bytes: 1, sequence: this.#next(), scope, resourceVersion: String(at) });
        this.#listing = undefined;
        this.#position = at;
      }
    } else if (this.#position === undefined) this.relist();
    else {
      const changes = this.#cluster.log.slice(this.#position, this.#position + 2);
      this.#position += changes.length;
      this.#events(changes, String(this.#position));
    }
  }

  /** As after 410 Gone. */
  relist(): void {
    if (!this.#granted || this.#listing !== undefined) return;
    const left = [...this.#cluster.objects].map(([name, version]) => ({ type: 'modified', name, version }) as const);
    this.#listing = { at: this.#cluster.log.length, left };
    this.#send({ case: 'snapshotStart', bytes: 1, sequence: this.#next(), scope });
  }

  repeat(): void {
    if (this.#granted && this.#last?.case === 'events') this.#session.receive(this.#last);
  }

  cut(): void {
    this.#granted = false;
    this.#session.close();
  }

  #events(changes: readonly Change[], resourceVersion: string): void {
    const events = changes.map(({ type, name, version }) => ({ type, object: body(name, version) }));
    this.#send({ case: 'events', bytes: 1, sequence: this.#next(), scope, events, resourceVersion });
  }

  #send(message: CachingStreamMessage): void {
    this.#last = message;
    this.#session.receive(message);
  }

  #next(): number {
    return (this.#sequence += 1);
  }
}

type Step =
  | { readonly do: 'change'; readonly name: string; readonly deletes: boolean }
  | { readonly do: 'connect'; readonly agent: string }
  | { readonly do: 'leave' | 'reopen' | 'relist' | 'repeat' | 'cut'; readonly which: number }
  | { readonly do: 'step'; readonly which: number; readonly times: number }
  | { readonly do: 'turn' }
  | { readonly do: 'settle' };

const which = fc.nat(3);
const step = <T extends object>(weight: number, fields: { [Key in keyof T]: fc.Arbitrary<T[Key]> }) => ({
  weight,
  arbitrary: fc.record(fields),
});
const steps = fc.array(
  fc.oneof(
    step(4, { do: fc.constant('change'), name: fc.constantFrom('a', 'b', 'c', 'd', 'e'), deletes: fc.boolean() }),
    step(2, { do: fc.constant('connect'), agent: fc.constantFrom('agent-1', 'agent-2') }),
    step(6, { do: fc.constant('step'), which, times: fc.integer({ min: 1, max: 6 }) }),
    step(2, { do: fc.constantFrom('leave', 'reopen', 'relist', 'repeat', 'cut'), which }),
    step(5, { do: fc.constantFrom('turn', 'settle', 'settle', 'settle') }),
  ),
  { minLength: 10, maxLength: 60 },
) as fc.Arbitrary<Step[]>;

test('the tables equal the cluster in the end', async (t) => {
  const { url } = await mariaDbDatabase(t);
  const database = openDatabase({ url, ...limits });
  t.teardown(() => database.close());
  await migrate(database, { logger: silentLogger, signal });
  const assignments = new AssignmentStore(database, { leaseMs: 30_000 });
  const kinds = new KindFilter({ cacheAll: true, cacheKinds: [], cacheOmitKinds: [] });
  // As two replicas would.
  const ingests = ['replica-1', 'replica-2'].map((id) => {
    const metrics = createMetrics(id, 'test');
    return new CachingIngest({ cache: new CacheStore(database), kinds, logger: silentLogger, metrics });
  });

  async function run(script: readonly Step[]): Promise<void> {
    for (const table of [
      'kubesvc_cache',
      'kubesvc_cache_rel',
      'kubesvc_resourceversion',
      'kubesvc_assignments',
    ] as const) {
      await database.run((db) => db.deleteFrom(table).execute());
    }
    const cluster = new Cluster();
    const agents: { readonly agent: Agent; readonly agentId: string; readonly epoch: number }[] = [];
    const open = (agentId: string, epoch: number): void => {
      const ingest = ingests[agents.length % ingests.length];
      if (ingest !== undefined) agents.push({ agent: new Agent(ingest, cluster, agentId, epoch), agentId, epoch });
    };
    /** Until everything that was sent is committed or refused. */
    const settle = () => waitFor(() => ingests.every(({ waitingBytes }) => waitingBytes === 0), { intervalMs: 1 });
    const connect = async (agentId: string): Promise<void> => {
      const epoch = await assignments.nextEpoch(1, signal);
      const claimed = await assignments.claim(connection(agentId, 'replica-1', epoch), accounts(account), signal);
      if (!claimed.some((each) => each.assignments.some((row) => row.epoch === epoch))) return;
      open(agentId, epoch);
    };
    const leave = async ({ agentId, epoch }: { readonly agentId: string; readonly epoch: number }): Promise<void> => {
      await assignments.release(connection(agentId, 'replica-1', epoch), 'all', signal);
    };
    for (const step of script) {
      if (step.do === 'change') cluster.change(step.name, step.deletes);
      else if (step.do === 'connect') await connect(step.agent);
      else if (step.do === 'turn') await setImmediate();
      else if (step.do === 'settle') await settle();
      else {
        // Counted from the newest, so that the script means something whatever the number of agents is.
        const chosen = agents.at(-1 - step.which);
        if (chosen === undefined) continue;
        if (step.do === 'leave') await leave(chosen);
        else if (step.do === 'reopen') open(chosen.agentId, chosen.epoch);
        else if (step.do === 'step') for (let left = step.times; left > 0; left -= 1) chosen.agent.step();
        else chosen.agent[step.do]();
      }
    }
    // The last agent has two streams, of which the newer counts, and the others go on as well.
    for (const each of agents) await leave(each);
    await connect('agent-3');
    await settle();
    const first = agents.at(-1);
    first?.agent.step();
    for (const name of ['a', 'b', 'c', 'd', 'e']) cluster.change(name, name < 'c');
    if (first !== undefined) open(first.agentId, first.epoch);
    const last = agents.at(-1)?.agent;
    await settle();
    await waitFor(
      () => {
        if (last?.caughtUp !== true) last?.step();
        return last?.caughtUp;
      },
      { intervalMs: 1, description: 'the last agent to catch up' },
    );
    for (const { agent } of agents) {
      if (agent === last) continue;
      agent.step();
      agent.step();
      agent.repeat();
    }
    await settle();
    for (const { agent } of agents) agent.cut();
    const rows = await database.run((db) =>
      db.selectFrom('kubesvc_cache').select(['id', 'application']).orderBy('id').execute(),
    );
    const relations = await database.run((db) =>
      db.selectFrom('kubesvc_cache_rel').select(['id', 'rel_id']).orderBy('id').execute(),
    );
    const wanted = [...cluster.objects]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, version]) => ({
        id: `kubernetes.v2:infrastructure:pod:prod:shop:${name}`,
        application: `v${version}`,
      }));
    t.same(rows, wanted);
    t.same(
      relations,
      wanted.map(({ id, application }) => ({ id, rel_id: `kubernetes.v2:logical:applications:${application}` })),
    );
    if (!t.passing()) throw new Error('the tables differ');
  }

  await fc.assert(fc.asyncProperty(steps, run), {
    numRuns: 150,
    interruptAfterTimeLimit: 20_000,
    markInterruptAsFailure: false,
  });
});
