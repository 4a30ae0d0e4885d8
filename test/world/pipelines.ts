/** What Spinnaker's pipelines do with an account, one stage after the other; each is looked for at the API server itself. */

import type { KubernetesApi, KubernetesObject } from '../services/kubernetes-api.js';
import { waitFor } from '../wait.js';
import type { Clouddriver } from './clouddriver.js';
import { configMap, deployment } from './objects.js';
import type { Outcome } from './session.js';

/** A change that a stage asks for: which requests do it. */
export interface AskedChange {
  readonly verbs: readonly string[];
  /** "deployments", "deployments/scale". */
  readonly resource: string;
}

export interface Stage extends AskedChange {
  readonly stage: string;
  readonly namespace: string;
  /** Unix ms. */
  readonly begunAt: number;
  /** kubectl's last words, if it failed. */
  readonly error: string | undefined;
  /** Whether the API server has what was asked for. */
  readonly done: boolean;
}

interface Web extends KubernetesObject {
  readonly metadata: KubernetesObject['metadata'] & { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly replicas: number;
    readonly paused?: boolean;
    readonly template: {
      readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
      readonly spec: { readonly containers: readonly { readonly image: string }[] };
    };
  };
}

const deployments: AskedChange = { verbs: ['create', 'patch'], resource: 'deployments' };

export class Pipelines {
  readonly stages: Stage[] = [];
  readonly #clouddriver: Clouddriver;
  readonly #api: KubernetesApi;
  #round = 0;

  constructor(clouddriver: Clouddriver, api: KubernetesApi) {
    this.#clouddriver = clouddriver;
    this.#api = api;
  }

  /** Runs one pipeline. */
  async run(): Promise<void> {
    this.#round += 1;
    const round = String(this.#round);
    const { namespace } = this.#clouddriver;
    const driver = this.#clouddriver;
    const { replicas: _, ...spec } = (deployment('web', 1, `none:${round}`) as Web).spec;
    const web = {
      ...deployment('web'),
      metadata: { name: 'web', namespace, labels: { app: 'web' }, annotations: { round } },
      spec: { ...spec, revisionHistoryLimit: 3 },
    };
    const deployed = await this.#stage(
      'deploy',
      deployments,
      () => driver.send(web, 'apply'),
      async () => {
        const { metadata } = await this.#web();
        return metadata.annotations?.['round'] === round;
      },
    );
    const settings = configMap('settings', { round }, { namespace });
    const configMaps = { verbs: ['create', 'patch'], resource: 'configmaps' };
    const serverSide = ['apply', '--server-side=true', '--force-conflicts=true'];
    await this.#stage(
      'server-side',
      configMaps,
      () => driver.send(settings, ...serverSide),
      () => this.#hasData('settings', round),
    );
    const replicas = 1 + (this.#round % 2);
    const scaled = { verbs: ['patch', 'update'], resource: 'deployments/scale' };
    await this.#stage(
      'scale',
      scaled,
      () => driver.change('scale', 'deployment/web', `--replicas=${String(replicas)}`),
      async () => (await this.#web()).spec.replicas === replicas,
    );
    // Without it, the revision that it goes back to may be the current one.
    if (deployed) await this.#undo();
    const restartedAt = async (): Promise<string | undefined> =>
      (await this.#web()).spec.template.metadata.annotations?.['kubectl.kubernetes.io/restartedAt'];
    const before = await restartedAt();
    await this.#stage(
      'restart',
      deployments,
      () => driver.change('rollout', 'restart', 'deployment/web'),
      async () => (await restartedAt()) !== before,
    );
    for (const [word, paused] of [
      ['pause', true],
      ['resume', false],
    ] as const) {
      // Asking twice for the same fails.
      if (((await this.#web()).spec.paused ?? false) === paused) continue;
      await this.#stage(
        word,
        deployments,
        () => driver.change('rollout', word, 'deployment/web'),
        async () => ((await this.#web()).spec.paused ?? false) === paused,
      );
    }
    const patch = JSON.stringify({ metadata: { annotations: { patched: round } } });
    await this.#stage(
      'patch',
      deployments,
      () => driver.change('patch', 'deployment', 'web', '--type', 'strategic', '--patch', patch),
      async () => (await this.#web()).metadata.annotations?.['patched'] === round,
    );
    const replaced = configMap('replaced', { round }, { namespace });
    await this.#stage(
      'replace',
      { verbs: ['update'], resource: 'configmaps' },
      () => driver.send(replaced, 'replace'),
      () => this.#hasData('replaced', round),
    );
    await this.#runJob(round);
    await this.#delete(round);
  }

  async #undo(): Promise<void> {
    const driver = this.#clouddriver;
    const history = await driver.change('rollout', 'history', 'deployment/web');
    const revisions = [...history.stdout.toString().matchAll(/^(\d+)\s/gmu)].map(([, number]) => Number(number));
    // The controllers need a moment for a new revision.
    if (history.code !== 0 || revisions.length < 2) return;
    // Not the oldest, which they may be about to delete, and of another round than the current one.
    const revision = revisions.toSorted((a, b) => a - b)[Math.floor((revisions.length - 1) / 2)];
    const imageOf = async (): Promise<string | undefined> =>
      (await this.#web()).spec.template.spec.containers[0]?.image;
    const before = await imageOf();
    await this.#stage(
      'undo',
      deployments,
      () => driver.change('rollout', 'undo', 'deployment/web', `--to-revision=${String(revision)}`),
      async () => (await imageOf()) !== before,
    );
  }

  /** The name is the API server's: a job that is created twice is there twice. */
  async #runJob(round: string): Promise<void> {
    const { namespace } = this.#clouddriver;
    const containers = [{ name: 'main', image: 'none' }];
    const job = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { generateName: 'run-', namespace, labels: { round } },
      spec: { suspend: true, template: { spec: { restartPolicy: 'Never', containers } } },
    };
    const created = { verbs: ['create'], resource: 'jobs' };
    await this.#stage(
      'run job',
      created,
      () => this.#clouddriver.send(job, 'create'),
      async () => {
        const path = `/apis/batch/v1/namespaces/${namespace}/jobs?labelSelector=round=${round}`;
        const { items } = await this.#api.get<{ readonly items: readonly object[] }>(path);
        if (items.length > 1) throw new Error(`${namespace}: job ${round} was created ${String(items.length)} times`);
        return items.length === 1;
      },
    );
  }

  /** A finalizer holds the object for a while after its deletion; kubectl waits for its end. */
  async #delete(round: string): Promise<void> {
    const { namespace } = this.#clouddriver;
    const name = `doomed-${round}`;
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    await this.#api.post(path, configMap(name, {}, { finalizers: ['example.com/lingers'] }));
    const isDoomed = async (): Promise<boolean> =>
      (await this.#api.get(`${path}/${name}`)).metadata['deletionTimestamp'] !== undefined;
    let doomed = false;
    const deleteIt = async (): Promise<Outcome> => {
      const words = ['delete', `configMap/${name}`, '--ignore-not-found=true', '--cascade=background'];
      const deleted = this.#clouddriver.change(...words);
      const description = `${name} to be deleted`;
      await Promise.race([deleted, waitFor(isDoomed, { description, timeoutMs: 130_000, intervalMs: 100 })]);
      doomed = await isDoomed();
      await this.#api.patch(`${path}/${name}`, { metadata: { finalizers: null } });
      return deleted;
    };
    await this.#stage('delete', { verbs: ['delete'], resource: 'configmaps' }, deleteIt, () => Promise.resolve(doomed));
  }

  /** @returns whether kubectl reports success */
  async #stage(
    stage: string,
    asked: AskedChange,
    run: () => Promise<Outcome>,
    isDone: () => Promise<boolean>,
  ): Promise<boolean> {
    const begunAt = Date.now();
    const { code, stderr } = await run();
    const { namespace } = this.#clouddriver;
    const error = code === 0 ? undefined : stderr;
    this.stages.push({ ...asked, stage, namespace, begunAt, error, done: await isDone() });
    return error === undefined;
  }

  #web(): Promise<Web> {
    return this.#api.get<Web>(`/apis/apps/v1/namespaces/${this.#clouddriver.namespace}/deployments/web`);
  }

  async #hasData(name: string, round: string): Promise<boolean> {
    const path = `/api/v1/namespaces/${this.#clouddriver.namespace}/configmaps/${name}`;
    const { data } = await this.#api.get<KubernetesObject & { readonly data?: { readonly round?: string } }>(path);
    return data?.round === round;
  }
}
