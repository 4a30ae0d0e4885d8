/**
 * Secrets are planted wherever there may be one, and everything that comes out is searched for them: logs at their most
 * talkative, errors, answers, metrics, history, the console's data, `doctor`, and what a process says that cannot start.
 */

import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { makeCertificates } from '../../commands/certificates.js';
import { freePort } from '../../free-port.js';
import { startRedis } from '../../services/redis.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

/** Words that are nowhere else, by what they are the secret of. */
class Canaries {
  readonly #words = new Map<string, string>();

  plant(what: string, word = `Canary${createHash('sha256').update(what).digest('hex').slice(0, 26)}`): string {
    this.#words.set(what, word);
    return word;
  }

  /** The secrets that a text has, as they are, in hexadecimal, or in base64 at any position. */
  in(text: string): string[] {
    return [...this.#words].filter(([, word]) => forms(word).some((form) => text.includes(form))).map(([what]) => what);
  }
}

function forms(word: string): string[] {
  const aligned = [0, 1, 2].map((shift) =>
    Buffer.from(`${'x'.repeat(shift)}${word}`)
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4),
  );
  return [word, encodeURIComponent(word), Buffer.from(word).toString('hex'), ...aligned];
}

interface Running {
  /** Everything that it wrote. */
  readonly output: () => string;
  readonly ended: Promise<unknown>;
  end(): Promise<void>;
}

function start(t: Test, args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, ['--import=tsx', main, ...args], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = once(child, 'close');
  const end = async (): Promise<void> => {
    child.kill();
    await ended;
  };
  t.teardown(end);
  return { output: () => Buffer.concat(chunks).toString('utf8'), ended, end };
}

test('a canary is found', (t) => {
  const canaries = new Canaries();
  const word = canaries.plant('a secret');
  t.same(canaries.in(`x ${word} y`), ['a secret']);
  for (const before of ['', 'a', 'ab', 'abc'])
    t.same(canaries.in(Buffer.from(`${before}${word}!`).toString('base64')), ['a secret'], before);
  t.same(canaries.in(Buffer.from(word).toString('hex')), ['a secret']);
  t.same(canaries.in('nothing'), []);
  t.end();
});

test('no secret comes out of a replica', async (t) => {
  const canaries = new Canaries();
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const password = canaries.plant('the password of the private key');
  const certificates = makeCertificates(t, 90, password);
  canaries.plant('the private key', certificates.read(certificates.key).split('\n')[1]);
  const directory = certificates.directory;
  const [agentToken, callerToken] = [canaries.plant('the token of an agent'), canaries.plant('the token of a caller')];
  const digest = (token: string): string => createHash('sha256').update(token).digest('hex');
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const [agentsPort, restPort] = [await freePort(), await freePort()];
  const encryptionKey = createHash('sha256').update('key').digest('hex');
  canaries.plant('the encryption key', encryptionKey);
  const config = file(
    'gateway.yml',
    JSON.stringify({
      instance: { id: 'gateway' },
      server: {
        address: '127.0.0.1',
        port: restPort,
        auth: {
          tokens: { file: file('callers', `tokens: [{name: me, sha256: ${digest(callerToken)}}]`) },
          policyFile: file('policy', "callers: [{name: me, match: ['token:me'], role: admin}]"),
          instances: {
            secretFile: file('secrets', canaries.plant('the secret of the instances', 'S3cr'.repeat(10))),
          },
        },
      },
      kubesvc: {
        grpc: {
          server: {
            ...{ address: '127.0.0.1', port: agentsPort },
            security: {
              ...{ enabled: true, certificateChain: certificates.chain, privateKey: certificates.encryptedKey },
              privateKeyPassword: `file:${file('password', password)}`,
            },
          },
          auth: { tokens: { file: file('agents', `tokens: [{name: agent, sha256: ${digest(agentToken)}}]`) } },
        },
        dynamicAccounts: {
          ...{ enabled: true, clouddriverUrl: `http://user:${canaries.plant('Clouddriver')}@127.0.0.1:1` },
          agentTimeoutMs: 500,
        },
      },
      redis: { connection: redis.url, password: canaries.plant('the password of Redis') },
      sql: { url: 'pglite:memory', password: canaries.plant('the password of the database') },
      logging: { level: 'trace', format: 'json' },
    }),
  );
  const environment = { AGENT_GATEWAY_KUBESVC_DYNAMICACCOUNTS_ENCRYPTIONKEY: encryptionKey };
  const outputs = new Map<string, string>();
  const replica = start(t, ['serve', '--config', config], environment);
  const rest = `http://127.0.0.1:${restPort}`;
  await waitFor(async () => (await fetch(`${rest}/readyz`)).ok, { timeoutMs: 60_000, description: replica.output() });
  const ask = async (method: string, path: string, body?: unknown, token = callerToken): Promise<void> => {
    const response = await fetch(rest + path, {
      ...{ method, signal: AbortSignal.timeout(120_000), redirect: 'manual' },
      headers: {
        authorization: `Bearer ${token}`,
        prefer: 'wait=1',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    outputs.set(
      `${method} ${path} ${String(outputs.size)}`,
      `${JSON.stringify([...response.headers])} ${await response.text()}`,
    );
  };

  await t.test('what comes in', async () => {
    const { createSsl } = (await import('@grpc/grpc-js')).credentials;
    const secure = createSsl(Buffer.from(certificates.read(certificates.authority)));
    const names = { 'grpc.ssl_target_name_override': 'gateway', 'grpc.default_authority': 'gateway' };
    for (const token of [agentToken, canaries.plant('a wrong token of an agent')]) {
      const agent = new RawAgent(`127.0.0.1:${agentsPort}`, secure, names, `Bearer ${token}`);
      t.teardown(() => agent.close());
      const accounts = [{ name: 'prod', properties: { note: 'nothing' } }];
      agent.send({ case: 'register', value: { agentId: 'agent', zoneId: 'zone', dynamicAccounts: true, accounts } });
      await waitFor(() => agent.all('registered').length > 0 || agent.end !== undefined);
    }
    const manifest = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's' },
      stringData: { a: canaries.plant('a manifest') },
    };
    const deploy = {
      account: 'prod',
      deploy: { manifest: { json: Buffer.from(JSON.stringify(manifest)).toString('base64') } },
    };
    await ask('POST', '/armory/agent/operations', { operation: deploy });
    await ask('POST', '/armory/agent/operations', { operation: { account: 'prod', deploy: { manifest } } });
    await ask('POST', '/armory/agent/operations', {
      operation: `account: "prod" deploy { wrong: "${canaries.plant('a text that is wrong')}" }`,
    });
    await ask('POST', '/armory/agent/operations', `{"operation": {"x": "${canaries.plant('JSON that is broken')}"`);
    const kubeconfig = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [
        { name: 'k', cluster: { server: `https://user:${canaries.plant('the URL of a cluster')}@127.0.0.1:1` } },
      ],
      users: [
        {
          name: 'u',
          user: {
            token: canaries.plant('a kubeconfig'),
            password: canaries.plant('a password'),
            exec: {
              apiVersion: 'client.authentication.k8s.io/v1',
              command: 'x',
              env: [{ name: 'K', value: canaries.plant('exec') }],
            },
          },
        },
      ],
    };
    const text = JSON.stringify(kubeconfig);
    for (const contents of [text, Buffer.from(text).toString('base64'), `${text}{broken`])
      await ask('POST', '/armory/accounts/dynamic', [
        { name: `dynamic-${String(contents.length)}`, kubeconfigContents: contents, zoneId: 'zone' },
      ]);
    await ask('POST', '/armory/accounts', [{ name: 'other', kubeconfigContents: text }]);
    await ask('PATCH', '/armory/accounts', [{ name: 'other', status: 'ACTIVE', kubeconfigContents: text }]);
    await ask('GET', '/armory/agents', undefined, canaries.plant('a wrong token of a caller'));
    await ask('POST', '/armory/agent/operationresults', {
      result: `operation_id: "x" message: "${canaries.plant('a result of nothing')}"`,
    });
  });
  await t.test('what can be asked', async () => {
    for (const path of [
      ...[
        '/armory/agents',
        '/armory/accounts',
        '/armory/clouddrivers',
        '/armory/clouddrivers/sql/pool/settings',
        '/armory/owners',
      ],
      ...[
        '/armory/accounts/other',
        '/agents/kubernetes/accounts/other',
        '/agents/kubernetes/accounts/prod',
        '/armory/agent/operations',
      ],
      ...['/console/data/overview', '/console/data/agents', '/console/data/accounts', '/console/data/dynamic-accounts'],
      ...[
        '/console/data/operations',
        '/metrics',
        '/openapi.json',
        '/readyz',
        '/healthz',
        '/docs/',
        '/console',
        '/nowhere',
      ],
    ])
      await ask('GET', path);
    await ask('POST', '/armory/agent/operations/database');
  });
  await waitFor(() => replica.output().includes('agent registered'));
  await replica.end();
  outputs.set('the log', replica.output());

  await t.test('doctor, and starts that fail', async () => {
    const wrong = canaries.plant('a password that is refused');
    const runs: readonly (readonly [string, readonly string[]])[] = [
      ['doctor', ['doctor', '--config', config]],
      ['doctor without a database', ['doctor', '--config', config, `--sql.url=mysql://root:${wrong}@127.0.0.1:1/x`]],
      [
        'no database',
        [
          'serve',
          '--config',
          config,
          `--sql.url=postgresql://root:${wrong}@127.0.0.1:1/x`,
          '--sql.connectionTimeoutMs=300',
        ],
      ],
      [
        'a key of another password',
        ['serve', '--config', config, `--kubesvc.grpc.server.security.privateKeyPassword=${wrong}`],
      ],
      ['a wrong encryption key', ['serve', '--config', config, `--kubesvc.dynamicAccounts.encryptionKey=${wrong}`]],
      ['a wrong URL', ['serve', '--config', config, `--redis.connection=${wrong}://x`]],
      ['a broken file', ['serve', '--config', file('broken.yml', `sql: {password: ${wrong}, url: [`)]],
      ['a misspelt key', ['serve', '--config', file('misspelt.yml', `sql: {pasword: ${wrong}}`)]],
      [
        'a broken file of tokens',
        ['serve', '--config', config, `--server.auth.tokens.file=${file('broken', `tokens: [${wrong}]`)}`],
      ],
    ];
    await Promise.all(
      runs.map(async ([name, args]) => {
        const run = start(t, args, environment);
        let ended = false;
        void run.ended.then(() => (ended = true));
        // Nine processes start at once.
        const limit = { timeoutMs: 200_000, description: `"${name}" to end, or to serve: ${args.join(' ')}` };
        await waitFor(() => ended || /ready|listening|serving/iu.test(run.output()), limit);
        await run.end();
        outputs.set(name, run.output());
      }),
    );
  });

  for (const [name, output] of outputs) {
    t.same(canaries.in(output), [], name);
    t.ok(output.length > 2, `${name}: there is something`);
  }
  t.ok((outputs.get('the log') ?? '').split('\n').length > 5, 'the log was talkative');
});
