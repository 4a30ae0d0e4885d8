/** The command `doctor` as a whole. */

import { test } from 'tap';
import { doctor, runDoctor } from '../../src/commands/doctor.js';
import { freePort } from '../free-port.js';
import { configured } from './configured.js';

const { signal } = new AbortController();

async function run(flags: readonly string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const write = (piece: string): void => {
    text += piece;
  };
  const code = await doctor({ environment: {}, flags }, { write, signal });
  return { code, text };
}

async function portFlags(): Promise<string[]> {
  return [`--server.port=${String(await freePort())}`, `--kubesvc.grpc.server.port=${String(await freePort())}`];
}

test('a first run is all right', async (t) => {
  const { code, text } = await run([...(await portFlags()), '--instance.id=me']);
  t.equal(code, 0);
  t.match(
    text,
    /^ok {7}configuration: instance me, cluster local\nok {7}identities: .*\nok {7}sql: .*\nok {7}port .*\nok {7}port .*\n5 ok, 0 warnings, 0 failed\n$/,
  );
});

test('a wrong configuration is a finding, with every problem', async (t) => {
  const { code, text } = await run(['--server.prot=1', '--sql.pasword=hunter2']);
  t.equal(code, 1);
  t.equal(
    text,
    `failed   configuration: 2 problems in the configuration:
           - server.prot: no such setting; did you mean server.port? (--server.prot)
           - sql.pasword: no such setting; did you mean sql.password? (--sql.pasword)
         docs/configuration.md lists every setting.
0 ok, 0 warnings, 1 failed
`,
  );
});

test('everything that is missing is found in one run, without a secret', async (t) => {
  const nothing = String(await freePort());
  const { code, text } = await run([
    ...(await portFlags()),
    '--kubesvc.cluster=kubernetes',
    '--server.address=127.0.0.1',
    `--sql.url=mysql://u:hunter2@127.0.0.1:${nothing}/x`,
    `--redis.connection=redis://:hunter2@127.0.0.1:${nothing}`,
    '--kubesvc.cluster-kubernetes.kubeconfigFile=/no/such/file',
  ]);
  t.equal(code, 1);
  t.match(text, /^failed {3}sql: /m);
  t.match(text, /^failed {3}redis: /m);
  t.match(text, /^failed {3}kubernetes: /m);
  t.match(text, /\n3 ok, 1 warnings, 3 failed\n$/);
  t.notMatch(text, /hunter/);
});

test('--output json gives one object', async (t) => {
  for (const output of [['--output', 'json'], ['--output=json']]) {
    const { code, text } = await run([...output, ...(await portFlags())]);
    t.equal(code, 0);
    const report = JSON.parse(text) as { ok: boolean; findings: { check: string; status: string; found: string }[] };
    t.equal(report.ok, true);
    t.match(report.findings[0], { check: 'configuration', status: 'ok' });
  }
  t.match(JSON.parse((await run(['--output=json', '--zzz=1'])).text), { ok: false, findings: [{ status: 'failed' }] });
});

test('another --output is refused', async (t) => {
  await t.rejects(run(['--output=xml']), {
    name: 'UsageError',
    message: '--output must be one of text, json, not "xml"',
  });
  await t.rejects(run(['--output']), { name: 'UsageError' });
});

test('warnings of the configuration are findings, and no failure', async (t) => {
  const { code, text } = await run([...(await portFlags()), '--kubesvc.disableV2Provider=true']);
  t.equal(code, 0);
  t.match(text, /^warning {2}configuration: kubesvc\.disableV2Provider: has no effect/m);
});

test('an aborted run ends with the reason', async (t) => {
  const reason = new Error('enough');
  const io = { write: () => undefined, signal: AbortSignal.abort(reason) };
  await t.rejects(runDoctor(configured(), io), reason);
});
