/**
 * When kubectl says that a cluster "doesn't have a resource type": also when it could not read the types of a group for a
 * moment. First straight at an API server, so that it is known what kubectl makes of which failure; then through the gateway,
 * where no passing failure may look like that.
 */

import { join } from 'node:path';
import { t as root, test, type Test } from 'tap';
import { accountPath } from '../../src/gateway/kubernetes-api/path.js';
import { kubeconfigOf, serve } from '../agent/kubernetes-api/set-up.js';
import { startAnswering } from '../gateway/kubernetes-api/served.js';
import { startGateway } from '../gateway/running-gateway.js';
import { clusterTools } from '../services/helm.js';
import { faults, groupPath, startDiscoveryServer, type DiscoveryFaultName } from './discovery-server.js';
import { passingDiscoveryFailure, readLog } from './kubectl-log.js';
import { Session, type Outcome } from './session.js';

const [tools, oldTools] = await Promise.all([clusterTools('1.35'), clusterTools('1.22')]);
const missing = [tools, oldTools].find((one) => typeof one === 'string') ?? false;
const faultNames = Object.keys(faults) as DiscoveryFaultName[];

root.setTimeout(120_000);

type Version = '1.22' | '1.35';

/** A session that has asked once: without what kubectl keeps on disk, it asks twice. */
async function openSession(t: Test, version: Version, name: string, server: string): Promise<Session> {
  const found = version === '1.22' ? oldTools : tools;
  if (typeof found === 'string') throw new Error(found);
  const directory = join(t.testdirName, name);
  const session = await Session.open({
    ...{ programs: found.programs, directory, namespace: 'default', cluster: { server }, user: {} },
  });
  t.teardown(() => {
    session.close();
  });
  const { stdout, stderr } = await list(session);
  if (!isListed(stdout)) throw new Error(stderr);
  return session;
}

/** As Clouddriver asks: this form of a resource makes kubectl read all types anew. */
function list(session: Session, ...flags: readonly string[]): Promise<Outcome> {
  return session.start([...flags, '-o', 'name', 'get', 'customResourceDefinition.apiextensions.k8s.io']).ended();
}

function isListed(stdout: Buffer): boolean {
  return stdout.toString().endsWith('/gadgets.example.com\n');
}

const noType = `the server doesn't have a resource type "customResourceDefinition"`;

/** At which single failures kubectl says that there is no such type; after all others it lists. */
const rows: readonly {
  readonly version: Version;
  readonly isAggregated: boolean;
  readonly path: string;
  readonly missing: readonly DiscoveryFaultName[];
}[] = [
  { version: '1.22', isAggregated: true, path: '/api', missing: [] },
  { version: '1.22', isAggregated: true, path: '/apis', missing: ['404', '403'] },
  {
    ...{ version: '1.22', isAggregated: true, path: groupPath },
    missing: ['503', '504', '500', '404', '403', 'cut within its answer', 'an empty answer'],
  },
  { version: '1.35', isAggregated: true, path: '/apis', missing: [] },
  {
    ...{ version: '1.35', isAggregated: false, path: groupPath },
    missing: ['404', '403', 'cut within its answer', 'an empty answer'],
  },
];

test('kubectl at an API server', { skip: missing }, async (t) => {
  t.testdir();
  const ask = async ({ version, isAggregated, path, missing }: (typeof rows)[number]): Promise<void> => {
    const server = await startDiscoveryServer(t, isAggregated);
    const session = await openSession(t, version, version + path.replaceAll('/', '-'), server.url);
    for (const name of faultNames) {
      server.fail(path, faults[name], 1);
      const { stdout, stderr } = await list(session);
      const title = `${version}, ${path}, ${name}: ${stderr}`;
      if (missing.includes(name)) t.match(stderr, noType, title);
      else t.ok(isListed(stdout), title);
      t.equal(server.failing, 0, title);
    }
  };
  await Promise.all(rows.map(ask));
});

test('kubectl 1.22 waits for a group as long as its requests may last', { skip: missing }, async (t) => {
  t.testdir();
  const server = await startDiscoveryServer(t, true);
  const session = await openSession(t, '1.22', 'session', server.url);
  const later = (): void => {
    server.fail(groupPath, faults['503 with Retry-After'], 5);
  };
  later();
  const { stderr } = await list(session, '-v=8', '--request-timeout=3s');
  const { said, log } = readLog(stderr);
  t.equal(said, `error: ${noType}`, 'what it says without -v');
  t.match(passingDiscoveryFailure({ said, log }), /./u, 'its log says why');
  later();
  t.ok(isListed((await list(session, '--request-timeout=20s')).stdout), 'with more time');
  server.fail(groupPath, faults['404'], 1);
  const other = readLog((await list(session, '-v=8')).stderr);
  t.match(other.said, noType);
  t.equal(passingDiscoveryFailure(other), undefined, 'a type that is not there is told apart');
});

test('through the gateway, no lost answer is a missing type', { skip: missing }, async (t) => {
  t.testdir();
  const gateway = await startGateway(t);
  const lost: readonly DiscoveryFaultName[] = ['closed before an answer', 'cut within its answer'];
  const ask = async (version: Version, isAggregated: boolean, fault: DiscoveryFaultName): Promise<void> => {
    const server = await startDiscoveryServer(t, isAggregated);
    const account = `kubectl-${version}-${fault.replaceAll(' ', '-')}`;
    const { answerRequest } = serve(t, { kubeconfig: kubeconfigOf({ server: server.url }, {}), name: account });
    await startAnswering(t, gateway, account, [account], answerRequest);
    const session = await openSession(t, version, account, gateway.restUrl + accountPath(account));
    server.fail(groupPath, faults[fault], 1);
    const { stdout, stderr } = await list(session);
    t.ok(isListed(stdout), `${account}: ${stderr}`);
    t.equal(server.failing, 0);
  };
  await Promise.all(lost.flatMap((fault) => [ask('1.22', true, fault), ask('1.35', false, fault)]));
});
