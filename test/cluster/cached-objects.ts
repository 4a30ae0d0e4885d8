/** What must be in the tables of cached objects, and what is. */

import { createHash } from 'node:crypto';
import { createPool, type RowDataPacket } from 'mysql2/promise';
import { simulatedScopes, type SimulatedCluster } from '../../src/simulate/cluster.js';

interface Manifest {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly annotations: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
}

export interface Tables {
  /** Digests of the bodies, by id. */
  readonly objects: ReadonlyMap<string, string>;
  /** `id type related-id`. */
  readonly relations: ReadonlySet<string>;
}

const digest = (body: Uint8Array | string) => createHash('sha1').update(body).digest('hex');
const lowerFirst = (kind: string) => kind.charAt(0).toLowerCase() + kind.slice(1);

/** What the tables hold when everything of these clusters is cached. */
export function expectedTables(clusters: ReadonlyMap<string, SimulatedCluster>): Tables {
  const objects = new Map<string, string>();
  const relations = new Set<string>();
  for (const [account, cluster] of clusters) {
    for (const scope of simulatedScopes) {
      for (const body of cluster.list(scope)) {
        const { metadata } = JSON.parse(Buffer.from(body).toString()) as Manifest;
        const idOf = (kind: string, name: string) =>
          `kubernetes.v2:infrastructure:${lowerFirst(kind)}:${account}:${metadata.namespace}:${name}`;
        const id = idOf(scope.kind, metadata.name);
        objects.set(id, digest(body));
        const application = metadata.annotations['moniker.spinnaker.io/application'] ?? '';
        relations.add(`${id} applications kubernetes.v2:logical:applications:${application}`);
        for (const { kind, name } of metadata.ownerReferences ?? []) {
          relations.add(`${id} ${lowerFirst(kind)} ${idOf(kind, name)}`);
        }
      }
    }
  }
  return { objects, relations };
}

export class CacheTables {
  readonly #pool;

  constructor(url: string) {
    this.#pool = createPool({ uri: url, connectionLimit: 1 });
  }

  async count(): Promise<number> {
    const [rows] = await this.#pool.query<RowDataPacket[]>('select count(*) as n from kubesvc_cache');
    return Number(rows[0]?.['n']);
  }

  async read(): Promise<Tables> {
    const [objects] = await this.#pool.query<RowDataPacket[]>('select id, sha1(body) as digest from kubesvc_cache');
    const [relations] = await this.#pool.query<RowDataPacket[]>('select id, rel_type, rel_id from kubesvc_cache_rel');
    return {
      objects: new Map(objects.map((row) => [String(row['id']), String(row['digest'])])),
      relations: new Set(relations.map((row) => `${row['id']} ${row['rel_type']} ${row['rel_id']}`)),
    };
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

/** In how many entries the two differ. */
export function differences(wanted: Tables, found: Tables): number {
  let count = 0;
  for (const [id, body] of wanted.objects) if (found.objects.get(id) !== body) count += 1;
  for (const id of found.objects.keys()) if (!wanted.objects.has(id)) count += 1;
  for (const relation of wanted.relations) if (!found.relations.has(relation)) count += 1;
  for (const relation of found.relations) if (!wanted.relations.has(relation)) count += 1;
  return count;
}
