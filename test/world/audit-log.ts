/** The API server's own account of what was changed: its audit log. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stage } from './pipelines.js';

/** A change that the API server has made. */
export interface MadeChange {
  readonly namespace: string;
  readonly verb: string;
  /** "deployments", "deployments/scale". */
  readonly resource: string;
  /** When its request came, Unix ms. */
  readonly time: number;
}

interface AuditEvent {
  readonly verb: string;
  readonly userAgent?: string;
  readonly objectRef?: { readonly namespace?: string; readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
}

export class AuditLog {
  readonly #file: string;
  /** For kube-apiserver. */
  readonly apiServerArgs: readonly string[];

  private constructor(directory: string) {
    this.#file = join(directory, 'audit.log');
    this.apiServerArgs = ['--audit-policy-file', join(directory, 'audit.yml'), '--audit-log-path', this.#file];
  }

  static async prepare(directory: string): Promise<AuditLog> {
    const log = new AuditLog(directory);
    const policy = {
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      omitStages: ['RequestReceived'],
      rules: [{ level: 'Metadata', verbs: ['create', 'update', 'patch', 'delete'] }],
    };
    await writeFile(join(directory, 'audit.yml'), JSON.stringify(policy));
    return log;
  }

  /** What kubectl has changed. */
  async changes(): Promise<readonly MadeChange[]> {
    const lines = (await readFile(this.#file, 'utf8')).split('\n').filter((line) => line !== '');
    return lines.flatMap((line) => {
      const event = JSON.parse(line) as AuditEvent;
      const { namespace = '', resource = '', subresource } = event.objectRef ?? {};
      const made = (event.responseStatus?.code ?? 0) < 300;
      if (!made || event.userAgent?.startsWith('kubectl') !== true) return [];
      const time = Date.parse(event.requestReceivedTimestamp);
      const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
      return [{ namespace, verb: event.verb, resource: whole, time }];
    });
  }
}

/** How often each stage was carried out: what was changed between its begin and that of the next one like it. */
export function countChanges(stages: readonly Stage[], changes: readonly MadeChange[]): ReadonlyMap<Stage, number> {
  const counts = new Map<Stage, number>();
  for (const [index, stage] of stages.entries()) {
    const next = stages.slice(index + 1).find(({ namespace }) => namespace === stage.namespace);
    const own = changes.filter(
      ({ namespace, verb, resource, time }) =>
        namespace === stage.namespace &&
        resource === stage.resource &&
        stage.verbs.includes(verb) &&
        time >= stage.begunAt &&
        time < (next?.begunAt ?? Infinity),
    );
    counts.set(stage, own.length);
  }
  return counts;
}
