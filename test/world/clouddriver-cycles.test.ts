/**
 * Clouddriver's caching cycles and pipelines over several agents' accounts, while replicas and agents are killed, drained and
 * upgraded, and networks, SQL and Redis are lost. Clouddriver takes an error for an empty cluster: no list may be empty or
 * partial, and no change lost or made twice. Four accounts and a
 * good minute; with WORLD_MINUTES=10 ten accounts and ten minutes.
 */

import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { t as root, test, type Test } from 'tap';
import { accountPath } from '../../src/gateway/kubernetes-api/path.js';
import { clusterTools } from '../services/helm.js';
import type { KubernetesApi } from '../services/kubernetes-api.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';
import { startNodeDouble } from '../services/node-double.js';
import { AuditLog, countChanges } from './audit-log.js';
import { Clouddriver, type Listed } from './clouddriver.js';
import { Fleet } from './fleet.js';
import { passingDiscoveryFailure } from './kubectl-log.js';
import { configMap, deployment, pod, resourceDefinition, service } from './objects.js';
import { Pipelines, type Stage } from './pipelines.js';
import { Session } from './session.js';
import { grantAgent } from './world.js';

const programs = await kubernetesPrograms();
const [tools, oldTools] = await Promise.all([clusterTools('1.35'), clusterTools('1.22')]);
const missing = [programs, tools, oldTools].find((one) => typeof one === 'string') ?? false;
const minutes = Number(process.env['WORLD_MINUTES'] ?? '1');
const cycleMs = 10_000;
const outageMs = 30_000;
const pipelinePauseMs = 5_000;
const isLong = minutes >= 5;
const accounts = Array.from({ length: isLong ? 10 : 4 }, (_, index) => `account-${String(index)}`);

/** A list of a caching cycle. */
interface TakenList {
  readonly account: string;
  readonly what: 'namespaces' | 'definitions' | 'infrastructure';
  readonly error: string | undefined;
  /** Of kubectl, if it failed. */
  readonly log: string;
  /** Of what is there, what it does not have. */
  readonly missing: readonly string[];
}

const limitMs = minutes * 60_000 + 600_000;
root.setTimeout(limitMs);

test('no cycle sees an empty cluster', { skip: missing, timeout: limitMs }, async (t) => {
  if (typeof programs === 'string' || typeof tools === 'string' || typeof oldTools === 'string') return;
  const directory = t.testdir();
  const log = await AuditLog.prepare(directory);
  const kubernetes = await startKubernetes(programs, { apiServerArgs: log.apiServerArgs });
  t.teardown(() => kubernetes.stop());
  const node = await startNodeDouble(programs, kubernetes);
  t.teardown(() => node.stop());
  const { api } = kubernetes;
  await grantAgent(api);
  await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', resourceDefinition('example.com'));
  for (const account of accounts) await fill(api, account);
  const fleet = await Fleet.start(t, await kubernetes.kubeconfigFor('kube-system', 'agent'), accounts);
  t.comment('the fleet is up');
  const drivers = await Promise.all(
    accounts.map(async (account, index) => {
      const session = await Session.open({
        programs: (index % 2 === 0 ? tools : oldTools).programs,
        directory: join(directory, account),
        namespace: account,
        cluster: { server: fleet.rest.url + accountPath(account) },
        user: {},
      });
      t.teardown(() => {
        session.close();
      });
      return new Clouddriver(session);
    }),
  );

  const over = new AbortController();
  setMaxListeners(0, over.signal);
  t.teardown(() => {
    over.abort();
  });
  const lists: TakenList[] = [];
  const pipelines = drivers.map((driver) => new Pipelines(driver, api));
  const logs: string[] = [];
  const work = Promise.all([
    ...drivers.map((driver) => repeated(over.signal, cycleMs, async () => void lists.push(...(await cycle(driver))))),
    ...pipelines.map((one) => repeated(over.signal, 0, () => one.run(), pipelinePauseMs)),
    ...drivers.map((driver) =>
      repeated(over.signal, cycleMs, async () => {
        const { code, stdout, stderr } = await driver.change('logs', 'talking', '-c=main');
        logs.push(code === 0 ? stdout.toString() : stderr);
      }),
    ),
  ]);
  // It is waited for below; until then nobody hears of a failure.
  work.catch(() => undefined);
  try {
    await lose(t, fleet, performance.now() + minutes * 60_000);
    await fleet.whole();
  } finally {
    over.abort();
    await work;
  }

  await t.test('every list is complete', (t) => {
    const failed = lists.filter(({ error }) => error !== undefined);
    t.comment(`${String(lists.length)} lists, ${String(failed.length)} failed`);
    for (const { account, what, error = '' } of failed) t.comment(`${account}, ${what}: ${error}`);
    // kubectl takes a group that it could not read for a while for one that is not there; the next cycle asks again.
    const unexplained = failed.filter(
      ({ error = '', log }) => passingDiscoveryFailure({ said: error, log }) === undefined,
    );
    const partial = lists.filter(({ missing }) => missing.length > 0);
    t.strictSame(partial, [], 'nothing is missing in one');
    t.strictSame(
      unexplained.filter(({ error = '' }) => !isPassing(error)),
      [],
      'a list fails in a way that passes',
    );
    const small = unexplained.filter(({ what }) => what !== 'infrastructure');
    t.strictSame(small, [], 'those that decide about everything do not fail');
    t.end();
  });

  await t.test('no change is lost or made twice', async (t) => {
    const stages = pipelines.flatMap((one) => one.stages);
    const failed = stages.filter(({ error }) => error !== undefined);
    t.comment(`${String(stages.length)} stages, ${String(failed.length)} failed`);
    for (const { stage, namespace, error = '', done } of failed)
      t.comment(`${namespace}, ${stage}${done ? ' (done)' : ''}: ${error}`);
    t.strictSame(
      failed.filter(({ error = '' }) => !isPassing(error)),
      [],
      'a stage fails in a way that passes',
    );
    const acknowledged = stages.filter(({ error }) => error === undefined);
    t.ok(acknowledged.length > 50, 'there were some');
    t.strictSame(
      acknowledged.filter(({ done }) => !done),
      [],
      'what was acknowledged was done',
    );
    const counts = countChanges(stages, await log.changes());
    const often = ([{ stage, namespace }, count]: readonly [Stage, number]): string =>
      `${namespace}: ${stage}: ${String(count)} times`;
    t.strictSame([...counts].filter(([, count]) => count > 1).map(often), [], 'nothing was done twice');
    const lost = [...counts].filter(([{ error }, count]) => error === undefined && count === 0);
    t.strictSame(lost.map(often), [], 'the log of the API server knows all of them');
    t.end();
  });

  await t.test('logs', (t) => {
    const wrong = logs.filter((text) => text !== 'talking\n' && !isPassing(text));
    t.comment(`${String(logs.length)} logs, ${String(logs.filter((text) => text !== 'talking\n').length)} failed`);
    t.strictSame(wrong, []);
    t.end();
  });
});

/** What is in the namespace of an account for the whole time. */
async function fill(api: KubernetesApi, namespace: string): Promise<void> {
  await api.post('/api/v1/namespaces', { metadata: { name: namespace } });
  const core = `/api/v1/namespaces/${namespace}`;
  // The lists of two accounts are longer than what the gateway holds of one answer.
  const bytes = namespace.endsWith('0') || namespace.endsWith('1') ? 60_000 : 300;
  for (let index = 0; index < 10; index += 1) {
    const text = randomBytes(bytes).toString('base64');
    await api.post(`${core}/configmaps`, configMap(`still-${String(index)}`, { text }));
  }
  for (const name of ['settings', 'replaced']) await api.post(`${core}/configmaps`, configMap(name));
  await api.post(`${core}/services`, service('web'));
  await api.post(`/apis/apps/v1/namespaces/${namespace}/deployments`, deployment('web', 1));
  const command = ['sh', '-c', 'echo talking; exec sleep 100000'];
  await api.post(`${core}/pods`, pod('talking', { command }));
}

const filled = [
  ...Array.from({ length: 10 }, (_, index) => `ConfigMap/still-${String(index)}`),
  ...['ConfigMap/settings', 'ConfigMap/replaced', 'Service/web', 'Deployment/web', 'Pod/talking'],
];

/** One caching cycle of an account. */
async function cycle(driver: Clouddriver): Promise<readonly TakenList[]> {
  const account = driver.namespace;
  const taken = (what: TakenList['what'], listed: Listed, there: readonly string[]): TakenList => {
    if ('error' in listed) return { account, what, error: listed.error, log: listed.log, missing: [] };
    return { account, what, error: undefined, log: '', missing: there.filter((name) => !listed.names.has(name)) };
  };
  return [
    taken(
      'namespaces',
      await driver.namespaces(),
      accounts.map((name) => `Namespace/${name}`),
    ),
    taken('definitions', await driver.customResourceDefinitions(), ['CustomResourceDefinition/gadgets.example.com']),
    taken('infrastructure', await driver.infrastructure(), filled),
  ];
}

/** An error after which Clouddriver may ask again: of the gateway, of a connection whose replica was killed, or of kubectl's own patience. */
function isPassing(error: string): boolean {
  if (/NotFound|Forbidden|Unauthorized|logged in|resource type|No resources/iu.test(error)) return false;
  return /ServiceUnavailable|\(Timeout\)|has disconnected|deadline exceeded|unexpected EOF|connection reset|EOF/u.test(
    error,
  );
}

/** Does it again and again: every so many ms, or with a pause. */
async function repeated(signal: AbortSignal, everyMs: number, act: () => Promise<void>, pauseMs = 0): Promise<void> {
  while (!signal.aborted) {
    const next = performance.now() + everyMs;
    await act();
    await pause(Math.max(pauseMs, next - performance.now()), signal);
  }
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(Math.max(0, ms), undefined, { signal }).catch(() => undefined);
}

/** Loses one thing after the other, at the gateway and at agents at the same time, at least once each. */
async function lose(t: Test, fleet: Fleet, endAt: number): Promise<void> {
  const inTurn = async (losses: readonly (readonly [string, (round: number) => Promise<void>])[]): Promise<void> => {
    for (let round = 0; round < losses.length || performance.now() < endAt; round += 1) {
      const [what, loseIt] = losses[round % losses.length] ?? ['', () => Promise.resolve()];
      const begunAt = performance.now();
      await loseIt(round);
      t.comment(`${what}: ${((performance.now() - begunAt) / 1_000).toFixed(0)} s`);
    }
  };
  await Promise.all([
    inTurn([
      ['replica killed', (round) => fleet.replaceReplica(round % 3, 'SIGKILL')],
      ['replica drained', (round) => fleet.replaceReplica(round % 3, 'SIGTERM')],
      ['SQL lost', () => fleet.withoutDatabase(() => pause(outageMs / 6))],
      ['Redis lost', () => fleet.withoutRedis(() => pause(outageMs / 6))],
      ...(isLong ? ([['replicas upgraded', () => fleet.upgradeReplicas()]] as const) : []),
    ]),
    inTurn([
      ['network lost', (round) => fleet.withoutNetwork(round, () => pause(outageMs))],
      ['agent killed', (round) => fleet.killAgent(round)],
      ['agent upgraded', (round) => fleet.upgradeAgent(round)],
    ]),
  ]);
}
