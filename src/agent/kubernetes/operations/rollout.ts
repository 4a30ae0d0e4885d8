/** Scale, restart, pause, resume and undo: changes of a workload, like `kubectl scale` and `kubectl rollout`. */

import { ApiError, lastAppliedAnnotation, type KubernetesObject, type ObjectList } from '../../../kubernetes/client.js';
import type { Pause, Restart, Resume, Scale, Undo } from '../../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../../operation-results.js';
import { pathOf } from '../api-resources.js';
import { objects, refuse, type TargetObject, type Work } from '../work.js';

interface Workload extends KubernetesObject {
  readonly spec?: {
    readonly paused?: boolean;
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly template?: PodTemplate;
  };
}

interface PodTemplate {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
}

interface ControllerRevision extends KubernetesObject {
  readonly revision: number;
  readonly data: object;
}

const strategic = 'application/strategic-merge-patch+json';
const revisionAnnotation = 'deployment.kubernetes.io/revision';
/** Annotations of the Deployment that kubectl keeps when it undoes a rollout. */
const ownAnnotations = [
  lastAppliedAnnotation,
  revisionAnnotation,
  'deployment.kubernetes.io/revision-history',
  'deployment.kubernetes.io/desired-replicas',
  'deployment.kubernetes.io/max-replicas',
  'deprecated.deployment.rollback.to',
];

/** Uses the `scale` subresource, which every scalable kind has. */
export async function scale(work: Work, { object, replicas }: Scale): Promise<Execution> {
  const target = await work.target(object);
  await change(work, `${target.path}/scale`, { spec: { replicas } }, 'application/merge-patch+json');
  return objects([await work.send({ method: 'GET', path: target.path })]);
}

/** A rolling restart: a new annotation in the pod template. */
export async function restart(work: Work, { object }: Restart): Promise<Execution> {
  const target = await rolling(work, object, 'restarted');
  const live = await work.send<Workload>({ method: 'GET', path: target.path });
  if (live.spec?.paused === true) {
    throw refuse(400, 'BadRequest', "can't restart paused deployment (run rollout resume first)");
  }
  // Taken once, so that a repeated attempt does not restart the pods again.
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString().replace(/\.\d+Z$/u, 'Z') };
  return objects([await change(work, target.path, { spec: { template: { metadata: { annotations } } } })]);
}

export async function pause(work: Work, { object }: Pause): Promise<Execution> {
  const { path } = await deployment(work, object, 'paused');
  return objects([await change(work, path, { spec: { paused: true } })]);
}

export async function resume(work: Work, { object }: Resume): Promise<Execution> {
  const { path } = await deployment(work, object, 'resumed');
  return objects([await change(work, path, { spec: { paused: false } })]);
}

/** Back to the pod template of a revision, which becomes the newest one. */
export async function undo(work: Work, { object, revision }: Undo): Promise<Execution> {
  const target = await rolling(work, object, 'undone');
  const live = await work.send<Workload>({ method: 'GET', path: target.path });
  const wanted = Number(revision);
  const { resource } = target;
  if (resource.kind === 'Deployment') return objects([await undoDeployment(work, target, live, wanted)]);
  const revisions = await owned<ControllerRevision>(work, live, 'apps/v1', 'ControllerRevision');
  const { data } = revisionOf(target, revisions, (each) => each.revision, wanted);
  return objects([await change(work, target.path, data)]);
}

async function undoDeployment(
  work: Work,
  target: TargetObject,
  live: Workload,
  wanted: number,
): Promise<KubernetesObject> {
  if (live.spec?.paused === true) {
    throw refuse(400, 'BadRequest', "you cannot rollback a paused deployment; resume it first with 'rollout resume'");
  }
  const replicaSets = await owned<Workload>(work, live, 'apps/v1', 'ReplicaSet');
  const chosen = revisionOf(
    target,
    replicaSets,
    ({ metadata }) => Number(metadata.annotations?.[revisionAnnotation] ?? 0),
    wanted,
  );
  const { 'pod-template-hash': _, ...labels } = chosen.spec?.template?.metadata?.labels ?? {};
  const template = { ...chosen.spec?.template, metadata: { ...chosen.spec?.template?.metadata, labels } };
  const pick = (from: KubernetesObject, own: boolean): [string, string][] =>
    Object.entries(from.metadata.annotations ?? {}).filter(([name]) => ownAnnotations.includes(name) === own);
  const annotations = Object.fromEntries([...pick(chosen, false), ...pick(live, true)]);
  const body = [
    // Fails if somebody has changed the Deployment's spec since it was read.
    { op: 'test', path: '/metadata/generation', value: live.metadata.generation },
    { op: 'replace', path: '/spec/template', value: template },
    { op: 'add', path: '/metadata/annotations', value: annotations },
  ];
  try {
    return await change(work, target.path, body, 'application/json-patch+json');
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 422 && error.reason === 'Invalid')) throw error;
    throw refuse(409, 'Conflict', `deployment "${target.name}" was changed meanwhile: ${error.detail}`);
  }
}

/** @param wanted 0: the one before the newest */
function revisionOf<T>(target: TargetObject, all: readonly T[], numberOf: (one: T) => number, wanted: number): T {
  const byAge = [...all].sort((a, b) => numberOf(b) - numberOf(a));
  const name = `${target.resource.kind.toLowerCase()} "${target.name}"`;
  const found = wanted === 0 ? byAge[1] : byAge.find((each) => numberOf(each) === wanted);
  if (found !== undefined) return found;
  if (wanted !== 0) throw refuse(404, 'NotFound', `unable to find specified revision ${String(wanted)} in history`);
  throw refuse(404, 'NotFound', `no rollout history found for ${name}`);
}

/** Objects of a kind that the workload's controller created. */
async function owned<T extends KubernetesObject>(
  work: Work,
  owner: Workload,
  apiVersion: string,
  kind: string,
): Promise<T[]> {
  const resource = await work.resource(apiVersion, kind);
  const labels = Object.entries(owner.spec?.selector?.matchLabels ?? {}).map(([name, value]) => `${name}=${value}`);
  const path = pathOf(resource, owner.metadata.namespace ?? '');
  const { items } = await work.send<ObjectList<T>>({ method: 'GET', path, query: { labelSelector: labels.join(',') } });
  return (items ?? []).filter(({ metadata }) =>
    metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid),
  );
}

function change(work: Work, path: string, body: object, contentType = strategic): Promise<KubernetesObject> {
  const query = { fieldManager: work.fieldManager };
  return work.send({ method: 'PATCH', path, query, body, contentType }, contentType !== 'application/json-patch+json');
}

async function rolling(work: Work, object: Restart['object'], verb: string): Promise<TargetObject> {
  const target = await work.target(object);
  const { group, kind } = target.resource;
  if (group === 'apps' && ['Deployment', 'DaemonSet', 'StatefulSet'].includes(kind)) return target;
  throw refuse(
    400,
    'BadRequest',
    `object.kind: a ${kind} cannot be ${verb}; expected a Deployment, DaemonSet or StatefulSet`,
  );
}

async function deployment(work: Work, object: Pause['object'], verb: string): Promise<TargetObject> {
  const target = await work.target(object);
  if (target.resource.group === 'apps' && target.resource.kind === 'Deployment') return target;
  throw refuse(400, 'BadRequest', `object.kind: a ${target.resource.kind} cannot be ${verb}; expected a Deployment`);
}
