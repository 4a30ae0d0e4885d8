/**
 * A custom resource with integers that no double holds, through every way that an object takes: command line, REST,
 * gateway, agent, API server, watch and cache. `kubectl get -o json` says what is right.
 */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client } from 'pg';
import { test, type Test } from 'tap';
import { isJsonObject, parseJson, stringifyJson, type JsonObject } from '../../src/documents/exact-json.js';
import {
  ObjectsSchema,
  OperationResultSchema,
  type OperationResult,
} from '../../src/protocol/generated/ops/operations_pb.js';
import { parseText } from '../../src/protocol/text-format.js';
import { run as runCommand } from '../commands/run-command.js';
import { startGateway } from '../gateway/running-gateway.js';
import { postgresDatabase } from '../services/databases.js';
import { clusterTools } from '../services/helm.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';
import { waitFor } from '../wait.js';
import { AgentProcess } from './agent-process.js';

const programs = await kubernetesPrograms();
const tools = await clusterTools();
const missing = [programs, tools].find((tool) => typeof tool === 'string');
const account = 'prod';

/** As text: this file's own numbers are doubles too. */
const numbers =
  '{"above":9007199254740993,"below":-9007199254740993,"most":9223372036854775807,"least":-9223372036854775808,' +
  '"list":[9007199254740995,{"in":9007199254740997}],"fraction":0.1,"small":1e-7,"int64":9007199254740999}';
const manifest = (name: string, more = ''): string =>
  `{"apiVersion":"example.com/v1","kind":"Counter","metadata":{"name":"${name}","namespace":"default"},` +
  `"spec":${numbers}${more}}`;
const schema = {
  openAPIV3Schema: {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        'x-kubernetes-preserve-unknown-fields': true,
        properties: { int64: { type: 'integer', format: 'int64' } },
      },
    },
    'x-kubernetes-preserve-unknown-fields': true,
  },
};

async function setUp(t: Test) {
  if (typeof tools === 'string') throw new Error(tools);
  const [kubernetes, database] = await Promise.all([
    startKubernetes(programs, { controllers: false }),
    postgresDatabase(t),
  ]);
  t.teardown(() => kubernetes.stop());
  await kubernetes.api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name: 'counters.example.com' },
    spec: {
      group: 'example.com',
      names: { plural: 'counters', singular: 'counter', kind: 'Counter' },
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  });
  const kubectl = (args: readonly string[], stdin?: string): Promise<string> =>
    tools.kubectl(['--kubeconfig', kubernetes.adminKubeconfig, ...args], stdin === undefined ? {} : { stdin });
  await kubectl(['wait', '--for=condition=Established', 'crd/counters.example.com', '--timeout=20s']);
  const { agentsAddress, restUrl, operate } = await startGateway(t, {
    'sql.url': database.url,
    'kubesvc.cache.cacheKinds': 'Counter',
  });
  const agent = await AgentProcess.start(t, {
    agentId: 'agent',
    addresses: [agentsAddress],
    accounts: [{ name: account, kubeConfigFile: kubernetes.adminKubeconfig }],
  });
  await waitFor(
    async () => (await operate({ account, get: { object: { kind: 'Namespace', name: 'default' } } })).status === 200,
    {
      timeoutMs: 60_000,
      description: `the agent to serve its account: ${agent.errors}`,
    },
  );
  const sql = new Client(database.url);
  await sql.connect();
  t.teardown(() => sql.end());
  return {
    kubectl,
    restUrl,
    operate,
    /** What Kubernetes has, as it prints it. */
    inKubernetes: async (name: string) =>
      parseJson(await kubectl(['get', 'counter', name, '-o', 'json'])) as JsonObject,
    /** What the gateway has cached of it. */
    cached: async (name: string): Promise<string | undefined> => {
      const id = `kubernetes.v2:infrastructure:counter.example.com:${account}:default:${name}`;
      const { rows } = await sql.query<{ body: Buffer }>('select body from kubesvc_cache where id = $1', [id]);
      return rows[0]?.body.toString();
    },
  };
}

/** The same object, but for what only one of them says. */
function comparable(object: unknown): unknown {
  if (!isJsonObject(object)) return object;
  const { managedFields: _, ...metadata } = object['metadata'] as JsonObject;
  return { ...object, metadata };
}

test('integers above 2^53 are exact through every way', { skip: missing ?? false }, async (t) => {
  const { kubectl, restUrl, operate, inKubernetes, cached } = await setUp(t);
  const base64 = (json: string): string => Buffer.from(json).toString('base64');
  const object = (name: string) => ({ apiVersion: 'example.com/v1', kind: 'Counter', namespace: 'default', name });
  const objectsOf = async (request: object): Promise<unknown[]> => {
    const { status, body } = await operate({ account, ...request });
    const { objects, ...rest } = body['result'] as { status: number; objects?: { manifests: string[] } };
    if (status !== 200 || rest.status !== 200) throw new Error(JSON.stringify(body));
    return (objects?.manifests ?? []).map((one) => parseJson(Buffer.from(one, 'base64').toString()));
  };
  const same = async (t: Test, name: string, answered: unknown, spec = numbers): Promise<void> => {
    const there = await inKubernetes(name);
    t.equal(stringifyJson(sorted(there['spec'])), stringifyJson(sorted(parseJson(spec))), 'in Kubernetes');
    t.strictSame(comparable(answered), comparable(there), 'in the answer');
  };

  const run = async (line: string, stdin = ''): Promise<string> => {
    const { code, out, err } = await runCommand(line.split(' '), {
      stdin,
      environment: { AGENT_GATEWAY_REST: restUrl },
    });
    if (code !== 0) throw new Error(err);
    return out;
  };

  for (const mode of ['MODE_UNSPECIFIED', 'MODE_CLIENT_SIDE_APPLY', 'MODE_REPLACE', 'MODE_CREATE']) {
    await t.test(`deploy, ${mode}, and again with a change`, async (t) => {
      const name = mode.toLowerCase().replaceAll('_', '-');
      const deploy = async (more = ''): Promise<unknown> =>
        (await objectsOf({ deploy: { manifest: base64(manifest(name, more)), mode } }))[0];
      await same(t, name, await deploy());
      if (mode !== 'MODE_CREATE') await same(t, name, await deploy(',"more":9007199254740993'));
    });
  }

  await t.test('client-side apply changes an integer above 2^53 by one, as kubectl does', async (t) => {
    for (const last of ['9007199254740993', '9007199254740992']) {
      const spec = `{"one":${last},"other":{"two":${last}}}`;
      const json = manifest('by-agent').replace(numbers, spec);
      const value = { manifest: base64(json), mode: 'MODE_CLIENT_SIDE_APPLY' };
      const [answered] = await objectsOf({ deploy: value });
      await kubectl(['apply', '-f', '-'], json.replace('by-agent', 'by-kubectl'));
      await same(t, 'by-agent', answered, spec);
      const applied = ({ metadata }: JsonObject): unknown =>
        ((metadata as JsonObject)['annotations'] as JsonObject)['kubectl.kubernetes.io/last-applied-configuration'];
      t.equal(
        applied(await inKubernetes('by-agent')),
        String(applied(await inKubernetes('by-kubectl'))).replace('by-kubectl', 'by-agent'),
      );
    }
  });

  await t.test('patches', async (t) => {
    await objectsOf({ deploy: { manifest: base64(manifest('patched')) } });
    const patch = async (type: string, json: string): Promise<unknown> =>
      (await objectsOf({ patch: { object: object('patched'), type, patch: base64(json) } }))[0];
    const spec = (above: string): string => numbers.replace('"above":9007199254740993', `"above":${above}`);
    await same(
      t,
      'patched',
      await patch('TYPE_MERGE', '{"spec":{"above":9007199254741001}}'),
      spec('9007199254741001'),
    );
    const json = '[{"op":"replace","path":"/spec/above","value":9007199254741003}]';
    await same(t, 'patched', await patch('TYPE_JSON', json), spec('9007199254741003'));
  });

  await t.test('get and list, in both forms of an answer', async (t) => {
    const name = 'mode-create';
    const [got] = await objectsOf({ get: { object: object(name) } });
    await same(t, name, got);
    const inText = async (request: string): Promise<OperationResult> => {
      const { body } = await operate(`account: "${account}" ${request}`);
      return fromBinary(
        OperationResultSchema,
        toBinary(OperationResultSchema, parseText(OperationResultSchema, String(body['result']))),
      );
    };
    const { body } = await inText(
      `get { object { api_version: "example.com/v1" kind: "Counter" namespace: "default" name: "${name}" } }`,
    );
    const { manifests } = body.case === 'objects' ? body.value : create(ObjectsSchema);
    await same(t, name, parseJson(Buffer.from(manifests[0] ?? []).toString()));
    const listed = await objectsOf({ list: { object: { ...object(''), name: undefined } } });
    const { items } = parseJson(await kubectl(['get', 'counters', '-o', 'json'])) as { items: unknown[] };
    t.strictSame(listed.map(comparable), items.map(comparable));
  });

  await t.test('fields of 64 bits in an operation, in both forms and as a number of JSON too', async (t) => {
    const number = '9007199254740993';
    const send = async (operation: string): Promise<string> => {
      const response = await fetch(`${restUrl}/armory/agent/operations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', prefer: 'wait=20' },
        body: `{"operation":${operation}}`,
      });
      return response.text();
    };
    const deployment = '"object":{"kind":"Deployment","namespace":"default","name":"none"}';
    for (const revision of [number, `"${number}"`])
      t.match(
        await send(`{"account":"${account}","undo":{${deployment},"revision":${revision}}}`),
        `"revision":"${number}"`,
      );
    const text = `account: "${account}" undo { object { kind: "Deployment" name: "none" } revision: ${number} }`;
    t.match(await send(JSON.stringify(text)), `revision: ${number}`);
  });

  await t.test('the command line', async (t) => {
    // JSON is YAML too; the second one is not JSON.
    for (const [name, text] of [
      ['from-json', manifest('from-json')],
      ['from-yaml', `# a comment\n${manifest('from-yaml')}`],
    ] as const) {
      const shown = await run(`ops send deploy -a ${account} -f -`, text);
      await same(t, name, parseJson(shown.slice(shown.indexOf('{'))));
      const got = await run(`ops send get example.com/v1/Counter ${name} -n default -a ${account}`);
      await same(t, name, parseJson(got.slice(got.indexOf('{'))));
    }
    const patched = await run(
      `ops send patch example.com/v1/Counter from-yaml -n default -a ${account} -f -`,
      'spec: {above: 9007199254741005}\n',
    );
    t.match(patched, '"above": 9007199254741005,');
  });

  await t.test('YAML 1.1 on the command line has the values that it has in kubectl', async (t) => {
    const yaml = (name: string): string => `# What is meant is below.
---
apiVersion: example.com/v1
kind: Counter
metadata: {name: ${name}, namespace: default, labels: &labels {app: "yes"}}
spec: {defaultMode: 0400, on: yes, thousand: 1_000, text: !!binary aGVsbG8=, at: 1:30, match: {<<: *labels, tier: web}}
---
`;
    await run(`ops send deploy -a ${account} -f -`, yaml('yaml-by-us'));
    await kubectl(['apply', '-f', '-'], yaml('yaml-by-kubectl'));
    const { spec } = await inKubernetes('yaml-by-us');
    t.strictSame(spec, (await inKubernetes('yaml-by-kubectl'))['spec']);
    t.match(spec, { defaultMode: 256, true: true, thousand: 1000, match: { app: 'yes' } });
  });

  await t.test('cached objects, by a watch and by a list', async (t) => {
    const patience = { timeoutMs: 60_000, description: 'the object to be cached' };
    const name = 'mode-replace';
    const versionOf = (one: JsonObject): unknown => (one['metadata'] as JsonObject)['resourceVersion'];
    for (const step of ['first', 'changed']) {
      if (step === 'changed') await kubectl(['label', 'counter', name, 'changed=yes']);
      const there = await inKubernetes(name);
      const body = await waitFor(async () => {
        const text = await cached(name);
        return text !== undefined && versionOf(parseJson(text) as JsonObject) === versionOf(there) ? text : undefined;
      }, patience);
      t.strictSame(comparable(parseJson(body)), comparable(there), step);
    }
  });
});

/** By the names of fields, as Go writes them. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
