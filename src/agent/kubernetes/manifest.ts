/** Reads the objects of a request, and refuses (400, with the field) those that this agent could not work with. */

import { ExactNumber, isJsonObject, parseJson, type JsonObject } from '../../documents/exact-json.js';
import { refuse } from './work.js';

/** Of any kind; the API server checks `spec` and the like. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string | null;
    readonly generateName?: string | null;
    readonly namespace?: string | null;
    readonly resourceVersion?: string | null;
    readonly labels?: Readonly<Record<string, string | null>> | null;
    readonly annotations?: Readonly<Record<string, string | null>> | null;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/**
 * The manifest of a request; of a list (`kind: List`, `kind: DeploymentList`) its items, as kubectl reads them.
 * @throws ApiError 400 with the field
 */
export function manifestsOf(bytes: Uint8Array): { readonly isList: boolean; readonly manifests: readonly Manifest[] } {
  const document = parsed(bytes);
  if (!isJsonObject(document)) throw expected('manifest', 'a Kubernetes object as JSON', document);
  if (!Array.isArray(document['items'])) return { isList: false, manifests: [manifest(document, 'manifest')] };
  const manifests = itemsOf(document, 'manifest');
  if (manifests.length === 0) throw refuse(400, 'BadRequest', 'manifest.items: expected at least one object');
  return { isList: true, manifests };
}

/** The manifest of a request that takes one object. @throws ApiError 400 with the field */
export function manifestOf(bytes: Uint8Array): Manifest {
  const { isList, manifests } = manifestsOf(bytes);
  const [only] = manifests;
  if (isList || only === undefined) throw refuse(400, 'BadRequest', 'manifest: expected one object, found a list');
  return only;
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return parseJson(Buffer.from(bytes).toString('utf8'));
  } catch {
    // The parser's message would quote the manifest.
    throw refuse(400, 'BadRequest', 'manifest: expected a Kubernetes object as JSON');
  }
}

function itemsOf(list: JsonObject, at: string): Manifest[] {
  // Items of a DeploymentList need not have apiVersion and kind.
  const kind = text(list, 'kind', at).replace(/List$/u, '');
  const type = kind === '' ? {} : { apiVersion: list['apiVersion'], kind };
  return (list['items'] as readonly unknown[]).flatMap((item, index) => {
    const place = `${at}.items[${String(index)}]`;
    if (!isJsonObject(item)) throw expected(place, 'a Kubernetes object', item);
    if (Array.isArray(item['items'])) return itemsOf(item, place);
    return manifest(item['kind'] === undefined ? { ...item, ...type } : item, place);
  });
}

function manifest(value: JsonObject, at: string): Manifest {
  for (const field of ['apiVersion', 'kind']) {
    if (text(value, field, at) === '') throw expected(`${at}.${field}`, 'text', value[field]);
  }
  const metadata = value['metadata'];
  if (!isJsonObject(metadata)) throw expected(`${at}.metadata`, 'an object', metadata);
  for (const field of ['name', 'generateName', 'namespace', 'resourceVersion']) text(metadata, field, `${at}.metadata`);
  for (const field of ['labels', 'annotations']) {
    const entries = metadata[field] ?? {};
    if (!isJsonObject(entries)) throw expected(`${at}.metadata.${field}`, 'an object', entries);
    for (const key of Object.keys(entries)) text(entries, key, `${at}.metadata.${field}`);
  }
  return value as Manifest;
}

/** A null stands for nothing, as everywhere in Kubernetes. */
function text(value: JsonObject, field: string, at: string): string {
  const found = value[field] ?? '';
  if (typeof found !== 'string') throw expected(`${at}.${field}`, 'text', found);
  return found;
}

function expected(field: string, what: string, found: unknown): Error {
  const type = found === undefined || found === null ? 'nothing' : Array.isArray(found) ? 'a list' : nameOf(found);
  return refuse(400, 'BadRequest', `${field}: expected ${what}, found ${type}`);
}

function nameOf(found: unknown): string {
  if (isJsonObject(found)) return 'an object';
  return `a ${found instanceof ExactNumber ? 'number' : typeof found}`;
}
