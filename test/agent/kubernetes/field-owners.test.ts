/** Who owns which field: nothing of this product is in its own way, kubectl's objects are taken over, others are asked. */

import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'tap';
import { handedOver, type FieldOwner } from '../../../src/agent/kubernetes/field-owners.js';
import type { Execution } from '../../../src/agent/operation-results.js';
import { Deploy_Mode, Patch_Type } from '../../../src/protocol/generated/ops/operations_pb.js';
import { agentManager, bytes, missing, objectsOf, startRealCluster, type Json, type Request } from './real-cluster.js';

const labels = { app: 'web' };
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

interface Version {
  readonly image?: string;
  readonly variables?: readonly string[];
  readonly replicas?: number | undefined;
  readonly annotation?: string | undefined;
}

function deployment(name: string, { image = 'one', variables = [], replicas, annotation }: Version): object {
  const env = variables.map((variable) => ({ name: variable, value: image }));
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default', ...(annotation === undefined ? {} : { annotations: { annotation } }) },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'main', image, env }] } },
    },
  };
}

/** What of a deployment these tests look at. */
function seen({ spec }: Json): object {
  const [container] = spec?.['template']?.['spec']?.['containers'] as unknown as { env?: object; image: string }[];
  return { replicas: spec?.['replicas'], image: container?.image, env: container?.env ?? [] };
}

test('owners are handed over as kubectl does it, and ours vanish', (t) => {
  const fields = (...names: string[]) => Object.fromEntries(names.map((name) => [`f:${name}`, {}]));
  const annotated = { 'f:metadata': { 'f:annotations': { [`f:${lastApplied}`]: {} } } };
  const owner = (
    manager: string,
    operation: 'Apply' | 'Update',
    fieldsV1: NonNullable<FieldOwner['fieldsV1']>,
    more: object = {},
  ): FieldOwner => ({
    ...{ manager, operation, apiVersion: 'apps/v1', fieldsV1 },
    ...more,
  });
  const own = new Set(['agent']);
  const theirs = owner('hpa', 'Update', fields('replicas'), { subresource: 'scale' });
  const clientSide = owner('kubectl-client-side-apply', 'Update', { ...annotated, ...fields('a', 'b') });
  t.strictSame(handedOver([theirs, clientSide], 'agent', own), [
    theirs,
    { ...clientSide, manager: 'agent', operation: 'Apply' },
  ]);
  const applied = owner('agent', 'Apply', fields('a', 'c'));
  t.strictSame(handedOver([clientSide, applied, theirs], 'agent', own), [
    { ...applied, fieldsV1: { ...fields('a', 'c', 'b'), ...annotated } },
    theirs,
  ]);
  const scaled = owner('agent', 'Update', fields('replicas'), { subresource: 'scale' });
  t.strictSame(handedOver([scaled, applied, theirs], 'agent', own), [applied, theirs]);
  t.strictSame(handedOver([theirs, applied], 'agent', own), [theirs, applied], 'nothing to do');
  const older = { ...clientSide, apiVersion: 'apps/v1beta1' };
  t.strictSame(handedOver([older, applied], 'agent', own), [applied], 'paths of another version are not mixed in');
  t.end();
});

test('server-side apply on a real API server', { skip: missing }, async (t) => {
  const { kubernetes, kubectl, run, deploy } = await startRealCluster(t, { controllers: true });
  const path = (name: string) => `/apis/apps/v1/namespaces/default/deployments/${name}`;
  const live = (name: string) => kubernetes.api.get<Json>(path(name));
  const reference = (name: string) => ({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name });
  const scaleAs = (manager: string, name: string, replicas: number) =>
    kubernetes.api.patch(`${path(name)}/scale?fieldManager=${manager}`, { spec: { replicas } });

  await t.test('after each way to change an object, the next deploy goes through', async (t) => {
    const object = reference('ways');
    const patch = Buffer.from(JSON.stringify({ spec: { replicas: 4 } }));
    const ways: Record<string, Request> = {
      scale: { case: 'scale', value: { object, replicas: 5 } },
      'a strategic patch': { case: 'patch', value: { object, patch } },
      'a merge patch': { case: 'patch', value: { object, type: Patch_Type.MERGE, patch } },
      'a JSON patch': {
        case: 'patch',
        value: {
          object,
          type: Patch_Type.JSON,
          patch: Buffer.from(
            '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "patched"}]',
          ),
        },
      },
      restart: { case: 'restart', value: { object } },
      pause: { case: 'pause', value: { object } },
      resume: { case: 'resume', value: { object } },
      undo: { case: 'undo', value: { object } },
      'a client-side apply': {
        case: 'deploy',
        value: { manifest: bytes(deployment('ways', { image: 'x' })), mode: Deploy_Mode.CLIENT_SIDE_APPLY },
      },
      'a replacement': {
        case: 'deploy',
        value: { manifest: bytes(deployment('ways', { image: 'y' })), mode: Deploy_Mode.REPLACE },
      },
    };
    let number = 0;
    for (const [way, request] of Object.entries(ways)) {
      for (const dryRun of [false, true]) {
        const version = { image: `v${String((number += 1))}`, replicas: 1 };
        t.match(await deploy(deployment('ways', version)), { status: 200 }, `${way}: before`);
        t.match(await run(request), { status: 200 }, way);
        const next = { image: `v${String((number += 1))}`, replicas: 2 };
        const result = await deploy(deployment('ways', next), { dryRun });
        t.match(result, { status: 200 }, `${way}: after, dry run ${String(dryRun)}`);
        t.match(seen(objectsOf(result)[0] as Json), next, `${way}: as the manifest says`);
      }
    }
  });

  await t.test('any sequence of operations of this product goes through', async (t) => {
    const letters = fc.constantFrom('a', 'b', 'c');
    const version = fc.record({
      image: letters,
      variables: fc.uniqueArray(letters, { maxLength: 3 }),
      replicas: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
      annotation: fc.option(letters, { nil: undefined }),
    });
    const mode = fc.constantFrom(
      ...[Deploy_Mode.UNSPECIFIED, Deploy_Mode.UNSPECIFIED, Deploy_Mode.UNSPECIFIED],
      ...[Deploy_Mode.CLIENT_SIDE_APPLY, Deploy_Mode.REPLACE],
    );
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ does: fc.constant('deploy' as const), version, mode }) },
      { weight: 1, arbitrary: fc.record({ does: fc.constant('scale' as const), replicas: fc.nat({ max: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ does: fc.constant('patch' as const), version }) },
      {
        weight: 3,
        arbitrary: fc.record({
          does: fc.constantFrom('restart' as const, 'pause' as const, 'resume' as const, 'undo' as const),
        }),
      },
    );
    let number = 0;
    const sequence = async (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]) => {
      const name = `sequence-${String((number += 1))}`;
      const object = reference(name);
      const first = await deploy(deployment(name, {}));
      if (first.status !== 200) throw new Error(first.message);
      for (const each of steps) {
        let result: Execution;
        if (each.does === 'deploy') {
          result = await deploy(deployment(name, each.version), { mode: each.mode });
          const { image, variables, replicas } = each.version;
          const env = variables.map((variable) => ({ name: variable, value: image }));
          const found = seen(await live(name)) as { image: string; env: typeof env; replicas: number };
          const holds = env.every((one) =>
            found.env.some((other) => other.name === one.name && other.value === one.value),
          );
          if (found.image !== image || !holds || (replicas !== undefined && found.replicas !== replicas)) {
            throw new Error(
              `deployed ${JSON.stringify(each)}, found ${JSON.stringify(found)}: ${result.message ?? ''}`,
            );
          }
        } else if (each.does === 'patch') {
          result = await run({ case: 'patch', value: { object, patch: bytes(deployment(name, each.version)) } });
        } else if (each.does === 'scale') {
          result = await run({ case: 'scale', value: { object, replicas: each.replicas } });
        } else result = await run({ case: each.does, value: { object } });
        const { status, message = '' } = result;
        // What kubectl refuses, too.
        const refused = status === 400 && /paused/u.test(message) && ['undo', 'restart'].includes(each.does);
        const nothing = status === 404 && /rollout history/u.test(message) && each.does === 'undo';
        if (status !== 200 && !refused && !nothing) throw new Error(`${each.does}: ${String(status)} ${message}`);
      }
      await kubernetes.api.delete(path(name));
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 12 }), sequence), {
      numRuns: 20,
      endOnFailure: true,
    });
    t.equal(number, 20);
  });

  await t.test('what somebody else owns is a conflict with his name and field, and stays his', async (t) => {
    const name = 'shared';
    await deploy(deployment(name, { replicas: 1 }));
    await scaleAs('horizontal-pod-autoscaler', name, 7);
    // Ours, too: only the other conflict is left.
    await run({
      case: 'patch',
      value: { object: reference(name), patch: bytes(deployment(name, { image: 'patched' })) },
    });
    for (const dryRun of [true, false]) {
      const result = await deploy(deployment(name, { image: 'two', replicas: 2 }), { dryRun });
      t.match(result, { status: 409, reason: 'Conflict', message: /"horizontal-pod-autoscaler".*\.spec\.replicas/su });
      t.notMatch(result.message, agentManager);
      t.match(seen(await live(name)), { replicas: 7, image: 'patched' });
    }
    t.match(await deploy(deployment(name, { image: 'two' })), { status: 200 });
    t.match(seen(await live(name)), { replicas: 7, image: 'two' }, 'what the manifest does not mention stays');
    t.match(await deploy(deployment(name, { image: 'two', replicas: 2 }), { forceConflicts: true }), { status: 200 });
    t.match(seen(await live(name)), { replicas: 2 });
  });

  await t.test('what this product changed and a manifest does not mention stays, as with kubectl apply', async (t) => {
    const name = 'unmentioned';
    await deploy(deployment(name, {}));
    await run({ case: 'scale', value: { object: reference(name), replicas: 4 } });
    await run({ case: 'restart', value: { object: reference(name) } });
    t.match(await deploy(deployment(name, { image: 'two' })), { status: 200 });
    const after = await live(name);
    t.match(seen(after), { replicas: 4, image: 'two' });
    t.match(after['spec'], {
      template: { metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': String } } },
    });
    await deploy(deployment(name, { image: 'two', replicas: 3 }));
    await deploy(deployment(name, { image: 'two' }));
    t.match(seen(await live(name)), { replicas: 1 }, 'what was mentioned and is not any more is the default again');
  });

  const old = { variables: ['KEPT', 'OLD'], annotation: 'x', replicas: 2 };
  const ways: Record<string, (name: string) => Promise<unknown>> = {
    'kubectl apply': (name) => kubectl(['apply', '-f', '-'], deployment(name, old)),
    // Clouddriver's replace, by which it began; then its default.
    'kubectl create --save-config, then kubectl apply': async (name) => {
      await kubectl(['create', '--save-config', '-f', '-'], deployment(name, { image: 'zero' }));
      await kubectl(['apply', '-f', '-'], deployment(name, old));
    },
    'kubectl apply by a name of its own': (name) =>
      kubectl(['apply', '--field-manager', 'spinnaker', '-f', '-'], deployment(name, old)),
    'kubectl apply, before the API server knew owners': async (name) => {
      await kubectl(['apply', '-f', '-'], deployment(name, old));
      await kubernetes.api.patch(path(name), { metadata: { managedFields: [{}] } });
    },
    'kubectl apply, then an apply of ours that was refused for something else': async (name) => {
      await kubectl(['apply', '-f', '-'], deployment(name, old));
      if (name.startsWith('ours')) await deploy(deployment(name, { ...old, replicas: -1 }));
    },
  };
  for (const [number, [way, make]] of Object.entries(ways).entries()) {
    await t.test(`objects of ${way} are taken over as kubectl apply --server-side does`, async (t) => {
      const [ours, theirs] = [`ours-${String(number)}`, `theirs-${String(number)}`];
      for (const name of [ours, theirs]) await make(name);
      const next = { image: 'two', variables: ['KEPT'], replicas: 3 };
      const dry = await deploy(deployment(ours, next), { dryRun: true });
      t.match(dry, { status: 200 }, 'as a dry run');
      t.match(seen(await live(ours)), { image: 'one', replicas: 2 });
      t.match(await deploy(deployment(ours, next)), { status: 200 });
      await kubectl(['apply', '--server-side', '-f', '-'], deployment(theirs, next));
      const [mine, kubectls] = [await live(ours), await live(theirs)];
      t.match(seen(mine), { image: 'two', env: [{ name: 'KEPT' }], replicas: 3 });
      const text = JSON.stringify(mine['spec']);
      t.notMatch(text, 'OLD', 'what the new manifest does not mention is gone');
      t.strictSame(mine['spec'], kubectls['spec']);
      t.notOk(mine['metadata']?.['annotations']?.['annotation']);
      t.notOk(mine['metadata']?.['annotations']?.[lastApplied], 'kept by nobody any more');
      const updates = (mine['metadata']?.['managedFields'] as unknown as FieldOwner[]).filter(
        ({ operation, subresource = '' }) => operation === 'Update' && subresource === '',
      );
      t.notMatch(
        updates.map(({ manager }) => manager),
        ['kubectl-client-side-apply'],
      );
      t.match(await deploy(deployment(ours, { image: 'three' })), { status: 200 }, 'and the next one goes through');
      t.same(seen(await live(ours)), { image: 'three', env: [], replicas: 1 });
    });
  }

  await t.test(
    'what was set by other means than apply is a conflict, as for kubectl apply --server-side',
    async (t) => {
      for (const name of ['set-ours', 'set-theirs']) {
        await kubectl(['apply', '-f', '-'], deployment(name, {}));
        await kubectl(['set', 'image', `deployment/${name}`, 'main=other']);
      }
      const next = { image: 'two' };
      t.match(await deploy(deployment('set-ours', next)), { status: 409, message: /"kubectl-set".*image/u });
      const theirs = kubectl(['apply', '--server-side', '-f', '-'], deployment('set-theirs', next));
      await t.rejects(theirs, { message: /"kubectl-set".*image/u });
    },
  );

  await t.test('while a controller writes all the time, deploys of every mode go through', async (t) => {
    const name = 'busy';
    await kubectl(['apply', '-f', '-'], deployment(name, {}));
    let busy = true;
    const controller = (async () => {
      for (let count = 0; busy; count += 1) {
        await kubernetes.api.patch(path(name), { metadata: { labels: { count: String(count) } } });
        await delay(20);
      }
    })();
    const modes = [Deploy_Mode.UNSPECIFIED, Deploy_Mode.REPLACE, Deploy_Mode.CLIENT_SIDE_APPLY];
    for (let round = 0; round < 5; round += 1) {
      for (const mode of modes) {
        const result = await deploy(deployment(name, { image: `${String(round)}-${String(mode)}` }), { mode });
        t.match(result, { status: 200 }, `mode ${String(mode)}: ${result.message ?? ''}`);
      }
    }
    busy = false;
    await controller;
  });
});
