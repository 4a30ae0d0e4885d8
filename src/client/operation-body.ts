/** The operation that `ops send` posts: made of a request's name and flags, or read from a file. */

import { ulid } from 'ulid';
import { UsageError } from '../command-line/usage-error.js';
import { isJsonObject, stringifyJson, type JsonObject } from '../documents/exact-json.js';
import { readManifests, YamlError } from '../documents/yaml.js';

/** As they are called on the command line. */
export type RequestName =
  | ('deploy' | 'delete' | 'get' | 'list' | 'patch' | 'scale')
  | ('restart' | 'pause' | 'resume' | 'undo' | 'run-job' | 'logs');

/** Protobuf JSON. */
export type OperationBody = Readonly<Record<string, unknown>> & { readonly id: string };

/** What operations of every kind can be given. */
export interface CommonFields {
  readonly account?: string | undefined;
  readonly id?: string | undefined;
  /** Seconds. */
  readonly timeout?: number | undefined;
}

/** @param body of the request */
export function operationBody(
  request: RequestName,
  fields: CommonFields,
  body: Readonly<Record<string, unknown>>,
): OperationBody {
  return withId({ ...common(fields), [request === 'run-job' ? 'runJob' : request]: body });
}

/** The gateway could choose the id itself; but then nobody knows it until it has answered. */
function withId(operation: Readonly<Record<string, unknown>>): OperationBody {
  const { id } = operation;
  return { ...operation, id: typeof id === 'string' && id !== '' ? id : ulid() };
}

const kindForm = /^(?:(?:[a-z0-9.-]+\/[a-z0-9-]+|v\d\w*)\/)?[A-Za-z]\w*$/u;

/** @param kind "Pod", "v1/Pod", "apps/v1/Deployment". @throws UsageError */
export function objectReference(kind: string, namespace: string | undefined, name?: string): Record<string, unknown> {
  if (!kindForm.test(kind)) {
    const hint = kind.includes('/') ? '; NAME is the argument after it' : '';
    throw new UsageError(`KIND must be such as Pod, v1/Pod or apps/v1/Deployment, not "${kind}"${hint}`);
  }
  const slash = kind.lastIndexOf('/');
  return {
    ...(slash < 0 ? {} : { apiVersion: kind.slice(0, slash) }),
    kind: kind.slice(slash + 1),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
}

/**
 * The operation that a file has.
 * @param file its text: protobuf JSON, YAML or text format
 * @param fields that are added to it, or that stand in place of its own
 */
export async function wholeOperation(file: string, fields: CommonFields): Promise<OperationBody> {
  let value: unknown;
  try {
    [value] = readManifests(file);
  } catch {
    // Text format is no YAML.
    value = undefined;
  }
  if (isJsonObject(value)) {
    // The body of a request, as curl sends it, is taken as well.
    const { operation = value } = value;
    if (isJsonObject(operation)) return withId({ ...operation, ...common(fields) });
  }
  const { readTextOperation } = await import('./text-operation.js');
  return withId({ ...readTextOperation(file), ...common(fields) });
}

function common({ account, id, timeout }: CommonFields): Record<string, unknown> {
  return {
    ...(account === undefined ? {} : { account }),
    ...(id === undefined ? {} : { id }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1_000 }),
  };
}

/** The manifest of a file, in this namespace where it has none itself. @throws UsageError */
export function manifestOf(file: string, request: RequestName, namespace: string | undefined): string {
  const manifest = oneDocument(file, request);
  return base64(stringifyJson(namespace === undefined ? manifest : inNamespace(manifest, namespace)));
}

export function patchOf(file: string): string {
  return base64(stringifyJson(oneDocument(file, 'patch')));
}

/** @throws UsageError in the words of kubectl, for an object that says another namespace */
function inNamespace(manifest: JsonObject, namespace: string): JsonObject {
  const { items, metadata, kind } = manifest;
  if (Array.isArray(items) && typeof kind === 'string' && kind.endsWith('List'))
    return {
      ...manifest,
      items: items.map((item: unknown) => (isJsonObject(item) ? inNamespace(item, namespace) : item)),
    };
  const { namespace: own } = (metadata ?? {}) as { readonly namespace?: unknown };
  if (typeof own !== 'string' || own === '') return { ...manifest, metadata: { ...(metadata ?? {}), namespace } };
  if (own === namespace) return manifest;
  throw new UsageError(
    `the namespace from the provided object "${own}" does not match the namespace "${namespace}". ` +
      `You must pass '--namespace=${own}' to perform this operation.`,
  );
}

/** The one Kubernetes object, or patch, of a YAML or JSON file. @throws UsageError */
function oneDocument(file: string, request: RequestName): JsonObject {
  const documents = manifestsOf(file);
  const [document] = documents;
  if (documents.length !== 1) {
    throw new UsageError(`--file must have one YAML document, it has ${documents.length}; send each one separately`);
  }
  if (!isJsonObject(document)) throw new UsageError(`--file must have an object: ${request} needs one`);
  return document;
}

function manifestsOf(file: string): unknown[] {
  try {
    return readManifests(file);
  } catch (error) {
    throw error instanceof YamlError ? new UsageError(`--file is not YAML or JSON: ${error.message}`) : error;
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
