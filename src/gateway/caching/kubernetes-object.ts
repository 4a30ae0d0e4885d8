/**
 * Reads from a Kubernetes object the columns of its row: id, application, relations. The object itself is stored as the
 * bytes that were sent, except Secrets: their data is always dropped here, even if the agent has already dropped it.
 */

import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../../core/errors.js';
import { isJsonObject, parseJson, stringifyJson, type JsonObject } from '../../documents/exact-json.js';
import type { CachedRelation } from '../../store/cache/cached-object.js';
import { lastAppliedAnnotation as lastApplied } from '../../kubernetes/client.js';
import { kindName } from './kinds.js';

/** The scope that an object was sent in. */
export interface ObjectScope {
  readonly account: string;
  readonly apiVersion: string;
  readonly kind: string;
  /** '': all namespaces. */
  readonly namespace: string;
}

export interface CacheableObject {
  readonly id: string;
  readonly kind: string;
  readonly namespace: string;
  readonly application: string | undefined;
  readonly relations: readonly CachedRelation[];
  readonly body: Uint8Array;
}

/** Longest values that the columns of the tables can hold, in characters. */
const longest = { id: 700, name: 255 };
/** Bytes that one statement can hold; etcd accepts no object above 1.5 MB. */
const maximumBytes = 4 * 1_024 * 1_024;
/** Owners of these kinds have no namespace; the owner reference does not say so. */
const clusterScoped = new Set(['node', 'namespace', 'persistentVolume', 'clusterRole', 'customResourceDefinition']);
/** Printable, and storable by every database. */
const printable = /^[^\p{Cc}\p{Cs}]+$/u;

/** @throws GatewayError `invalid-argument` (what is wrong), `too-large` */
export function readKubernetesObject(scope: ObjectScope, bytes: Uint8Array): CacheableObject {
  if (bytes.length > maximumBytes) {
    throw new GatewayError(
      'too-large',
      `an object has ${String(bytes.length)} bytes; ${String(maximumBytes)} are allowed`,
    );
  }
  const { account } = scope;
  const isSecret = scope.kind.toLowerCase() === 'secret';
  // eslint-disable-next-line no-restricted-syntax -- only a Secret is written anew; of others the bytes stay, and no number is read
  const object = parse(bytes, isSecret ? parseJson : JSON.parse);
  const metadata = record(object['metadata']);
  const name = text(metadata['name']);
  const namespace = text(metadata['namespace']);
  if (name === '' || !printable.test(name) || (namespace !== '' && !printable.test(namespace))) {
    throw invalid('metadata.name and metadata.namespace must be valid names');
  }
  if (object['kind'] !== undefined && object['kind'] !== scope.kind) {
    throw invalid(`received an object of kind ${text(object['kind'])} as ${scope.kind}`);
  }
  if (scope.namespace !== '' && namespace !== scope.namespace) {
    throw invalid(`received an object of namespace ${namespace} for namespace ${scope.namespace}`);
  }
  const kind = kindName(scope.apiVersion, scope.kind);
  const id = objectId(kind, account, namespace, name);
  if (id.length > longest.id || namespace.length > longest.name) throw invalid('the name of an object is too long');
  const application = applicationOf(metadata);
  return {
    id,
    kind,
    namespace,
    application,
    relations: relationsOf(metadata, account, namespace, application),
    body: isSecret ? withoutSecrets(object, metadata) : bytes,
  };
}

function objectId(kind: string, account: string, namespace: string, name: string): string {
  return `kubernetes.v2:infrastructure:${kind}:${account}:${namespace}:${name}`;
}

/** From Spinnaker's annotation, or else from the labels of Helm and most other tools. */
function applicationOf(metadata: JsonObject): string | undefined {
  const name =
    text(record(metadata['annotations'])['moniker.spinnaker.io/application']) ||
    text(record(metadata['labels'])['app.kubernetes.io/name']);
  return name.length <= longest.name && printable.test(name) ? name : undefined;
}

function relationsOf(
  metadata: JsonObject,
  account: string,
  namespace: string,
  application: string | undefined,
): readonly CachedRelation[] {
  const relations = new Map<string, CachedRelation>();
  const owners: unknown = metadata['ownerReferences'];
  for (const owner of Array.isArray(owners) ? (owners as unknown[]).map(record) : []) {
    const name = text(owner['name']);
    const type = kindName(text(owner['apiVersion']), text(owner['kind']));
    const id = objectId(type, account, clusterScoped.has(type) ? '' : namespace, name);
    const storable = name !== '' && printable.test(id) && id.length <= longest.id && type.length <= longest.name;
    if (storable) relations.set(id, { id, type });
  }
  if (application !== undefined) {
    const id = `kubernetes.v2:logical:applications:${application}`;
    relations.set(id, { id, type: 'applications' });
  }
  return [...relations.values()];
}

function withoutSecrets(object: JsonObject, metadata: JsonObject): Uint8Array {
  const annotations = record(metadata['annotations']);
  const applied = annotations[lastApplied];
  const { data: _, stringData: __, ...rest } = object;
  if (applied === undefined) return Buffer.from(stringifyJson(rest));
  const { [lastApplied]: ___, ...others } = annotations;
  const cleaned = appliedWithoutSecrets(text(applied));
  const kept = cleaned === undefined ? others : { ...others, [lastApplied]: cleaned };
  return Buffer.from(stringifyJson({ ...rest, metadata: { ...metadata, annotations: kept } }));
}

/** Keeps only fields that are known to hold no secret: anybody may have written the rest of the text. */
function appliedWithoutSecrets(applied: string): string | undefined {
  try {
    const { apiVersion, kind, metadata, type } = record(parseJson(applied));
    if (kind !== 'Secret') return undefined;
    const { name, namespace, labels } = record(metadata);
    return stringifyJson({ apiVersion, kind, metadata: { name, namespace, labels }, type });
  } catch {
    return undefined;
  }
}

function parse(bytes: Uint8Array, read: (text: string) => unknown): JsonObject {
  if (!isUtf8(bytes)) throw invalid('an object is not UTF-8');
  let object: unknown;
  try {
    object = read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    // The parser's message would quote the object.
    throw invalid('an object is not JSON');
  }
  if (!isJsonObject(object)) throw invalid('an object is not a JSON object');
  return object;
}

function record(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function invalid(message: string): GatewayError {
  return new GatewayError('invalid-argument', message, { field: 'object' });
}
