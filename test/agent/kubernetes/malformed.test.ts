/** Manifests, patches and references that are none: refused as the caller's fault, with the field, never in JavaScript's words. */

import fc from 'fast-check';
import { test } from 'tap';
import type { Execution } from '../../../src/agent/operation-results.js';
import { runOn, startApiDouble } from './api-double.js';
import { bytes, missing, startRealCluster } from './real-cluster.js';

const deployment = (): Record<string, unknown> => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default', labels: { a: 'b' }, annotations: { c: 'd' } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'main', image: 'a', env: [{ name: 'A', value: 'b' }] }] },
    },
  },
});

/** What V8 says of faults in a program. */
const javaScript =
  /Cannot (?:read|destructure|convert|set)|is not (?:a function|iterable|defined|an object)|undefined|\[object|JSON at position|Unexpected (?:token|end)|Invalid URL|circular/u;

function replaced(value: unknown, path: readonly (string | number)[], by: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return by;
  if (Array.isArray(value))
    return value.map((each: unknown, index) => (index === first ? replaced(each, rest, by) : each));
  return { ...(value as object), [first]: replaced((value as Record<string, unknown>)[first], rest, by) };
}

const fields: readonly (readonly [path: readonly string[], broken: unknown, message: RegExp])[] = [
  [[], null, /^manifest: expected a Kubernetes object/],
  [[], 'text', /^manifest: expected a Kubernetes object/],
  [[], [], /^manifest: expected a Kubernetes object/],
  [['metadata'], null, /^manifest\.metadata: expected an object, found nothing/],
  [['metadata'], 'text', /^manifest\.metadata: expected an object, found a string/],
  [['metadata'], [], /^manifest\.metadata: expected an object, found a list/],
  [['apiVersion'], 1, /^manifest\.apiVersion: expected text, found a number/],
  [['kind'], null, /^manifest\.kind: expected text, found nothing/],
  [['kind'], {}, /^manifest\.kind: expected text, found an object/],
  [['metadata', 'name'], 5, /^manifest\.metadata\.name: expected text, found a number/],
  [['metadata', 'namespace'], true, /^manifest\.metadata\.namespace: expected text, found a boolean/],
  [['metadata', 'generateName'], [], /^manifest\.metadata\.generateName: expected text, found a list/],
  [['metadata', 'resourceVersion'], 7, /^manifest\.metadata\.resourceVersion: expected text/],
  [['metadata', 'labels'], 'a', /^manifest\.metadata\.labels: expected an object/],
  [['metadata', 'labels', 'a'], 1, /^manifest\.metadata\.labels\.a: expected text, found a number/],
  [['metadata', 'annotations'], [], /^manifest\.metadata\.annotations: expected an object/],
  [['metadata', 'annotations', 'c'], false, /^manifest\.metadata\.annotations\.c: expected text/],
  [['metadata', 'namespace'], '..', /^namespace: "\.\." is not a namespace/],
];

test('malformed manifests', { skip: missing }, async (t) => {
  const { run, deploy } = await startRealCluster(t);
  const sound = ({ status, message = '' }: Execution, what: string): void => {
    if (status >= 500 || javaScript.test(message)) throw new Error(`${what}: ${String(status)} ${message}`);
  };
  t.match(await deploy(deployment()), { status: 200 });

  for (const [path, broken, message] of fields) {
    await t.test(`${['manifest', ...path].join('.')}: ${JSON.stringify(broken)}`, async (t) => {
      const manifest = replaced(deployment(), path, broken);
      for (const mode of [0, 1, 2, 3]) t.match(await deploy(manifest, { mode }), { status: 400, message });
      t.match(await run({ case: 'runJob', value: { manifest: bytes(manifest) } }), { status: 400 });
    });
  }

  await t.test('what only the API server knows is refused by it, as the caller’s fault', async (t) => {
    const paths = [
      ['spec'],
      ['spec', 'replicas'],
      ['spec', 'template', 'spec'],
      ['spec', 'template', 'spec', 'containers'],
    ];
    for (const path of paths) {
      for (const mode of [0, 1, 2, 3]) {
        const { status, message = '' } = await deploy(replaced(deployment(), path, 'text'), { mode });
        t.ok(status >= 400 && status < 500, `${path.join('.')}, mode ${String(mode)}: ${String(status)} ${message}`);
        t.match(message, new RegExp(path.at(-1) ?? '', 'u'), 'names the field');
      }
    }
  });

  await t.test('whatever is broken where, in every operation', async (t) => {
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      paths.push(path);
      if (Array.isArray(value)) value.forEach((each, index) => walk(each, [...path, index]));
      else if (typeof value === 'object' && value !== null) {
        for (const [key, each] of Object.entries(value)) walk(each, [...path, key]);
      }
    };
    walk(deployment(), []);
    const junk = fc.oneof(
      fc.constantFrom<unknown>(
        null,
        '',
        'text',
        0,
        -1,
        1.5,
        true,
        [],
        {},
        [null],
        [[]],
        { a: null },
        '..',
        'a/b',
        '%2e',
      ),
      fc.jsonValue({ maxDepth: 2 }),
    );
    const broken = fc.tuple(fc.constantFrom(...paths), junk).map(([path, by]) => replaced(deployment(), path, by));
    const part = fc.oneof(
      fc.constantFrom('', '.', '..', 'web', 'Deployment', 'apps/v1', 'v1', 'a/b', '%00', '\u0000', '🎉'),
      fc.string(),
    );
    const property = fc.asyncProperty(
      ...([
        broken,
        fc.constantFrom(0, 1, 2, 3),
        fc.boolean(),
        fc.record({ apiVersion: part, kind: part, namespace: part, name: part }),
      ] as const),
      async (manifest, mode, dryRun, object) => {
        const value = { manifest: bytes(manifest), mode, dryRun };
        sound(await run({ case: 'deploy', value }), 'deploy');
        sound(await deploy({ kind: 'List', apiVersion: 'v1', items: [manifest] }, { dryRun }), 'a list');
        sound(await run({ case: 'runJob', value }), 'runJob');
        const web = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };
        for (const type of [1, 2, 3]) {
          const patch = { object: web, type, patch: value.manifest, dryRun: true };
          // Some that cannot be merged the API server itself answers with 500, to kubectl too.
          const { message } = await run({ case: 'patch', value: patch });
          sound({ status: 200, message: message ?? '' }, 'patch');
        }
        const reference = { object };
        sound(await run({ case: 'get', value: reference }), 'get');
        sound(await run({ case: 'list', value: { ...reference, labelSelector: object.name } }), 'list');
        sound(
          await run({ case: 'delete', value: { object: { ...object, name: `${object.name}..` }, dryRun: true } }),
          'delete',
        );
        sound(await run({ case: 'scale', value: { ...reference, replicas: 1 } }), 'scale');
        for (const each of ['restart', 'pause', 'resume', 'undo', 'logs'] as const) {
          sound(await run({ case: each, value: reference }), each);
        }
      },
    );
    await fc.assert(property, { numRuns: 60, endOnFailure: true });
    t.pass();
  });
});

test('a name that is a step upwards leads nowhere', async (t) => {
  const { cluster, requests } = await startApiDouble(t, (_, response) => response.end('{}'));
  for (const name of ['.', '..', 'a/b', '%2e%2e']) {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name };
    t.match(await runOn(cluster, { case: 'delete', value: { object } }), { status: 400, message: /^name: / });
  }
  t.strictSame(requests, []);
});

test('a fault of ours is an internal error, of which the log has the rest', async (t) => {
  // An answer without metadata: nothing here expects it.
  const { cluster } = await startApiDouble(t, (_, response) => response.end('{}'));
  const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'a' };
  t.match(await runOn(cluster, { case: 'delete', value: { object } }), {
    status: 500,
    reason: 'InternalError',
    message: 'internal error of the agent; see its log for operation x',
  });
});
