/** The operation that `ops send` posts: made of a request's name and flags, or read from a file. */

import { isJsonObject, stringifyJson } from '../documents/exact-json.js';
import { readManifests, YamlError } from '../documents/yaml.js';
import { usageError } from './exit-code.js';

export const requestNames = [
  'deploy',
  'delete',
  'get',
  'list',
  'patch',
  'scale',
  'restart',
  'pause',
  'resume',
  'undo',
  'run-job',
  'logs',
] as const;
type RequestName = (typeof requestNames)[number];

export interface OperationFlags {
  readonly account?: string | undefined;
  readonly namespace?: string | undefined;
  readonly selector?: string | undefined;
  readonly container?: string | undefined;
  readonly id?: string | undefined;
  readonly replicas?: number | undefined;
  readonly tail?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

/** Protobuf JSON, or text format. */
export type OperationBody = string | Readonly<Record<string, unknown>>;

/**
 * @param words REQUEST, KIND and NAME, as far as they were given
 * @param file the text of --file
 * @throws ClientError that names the flag or argument
 */
export function operationBody(
  words: readonly string[],
  flags: OperationFlags,
  file: string | undefined,
): OperationBody {
  const [request, kind, name] = words;
  if (request === undefined) return wholeOperation(file, flags);
  if (!isRequestName(request)) throw usageError(`REQUEST must be one of ${requestNames.join(', ')}, not "${request}"`);
  if (flags.account === undefined) throw usageError('--account is missing: which account is meant?');
  const field = request === 'run-job' ? 'runJob' : request;
  return { ...common(flags), account: flags.account, [field]: requestBody(request, kind, name, flags, file) };
}

function requestBody(
  request: RequestName,
  kind: string | undefined,
  name: string | undefined,
  flags: OperationFlags,
  file: string | undefined,
): Record<string, unknown> {
  const { selector, replicas, container, tail } = flags;
  if (request === 'deploy' || request === 'run-job') {
    if (kind !== undefined) throw usageError(`${request} takes its object from --file, not from "${kind}"`);
    return { manifest: base64(oneDocument(file, request)) };
  }
  const object = objectReference(kind, flags.namespace, name);
  const labels = selector === undefined ? {} : { labelSelector: selector };
  if (request === 'list') return { object, ...labels };
  if (name === undefined && !(request === 'delete' && selector !== undefined)) {
    throw usageError(`NAME is missing: which ${kind ?? 'object'} is meant?`);
  }
  switch (request) {
    case 'delete':
      return { object, ...labels };
    case 'patch':
      return { object, type: 'TYPE_MERGE', patch: base64(oneDocument(file, request)) };
    case 'scale':
      if (replicas === undefined) throw usageError('--replicas is missing: scale to how many?');
      return { object, replicas };
    case 'logs':
      return {
        object,
        ...(container === undefined ? {} : { container }),
        ...(tail === undefined ? {} : { tailLines: tail }),
      };
    case 'get':
    case 'restart':
    case 'pause':
    case 'resume':
    case 'undo':
      return { object };
  }
}

/** "Pod", "v1/Pod", "apps/v1/Deployment". */
function objectReference(kind: string | undefined, namespace: string | undefined, name: string | undefined) {
  if (kind === undefined) throw usageError('KIND is missing, as in: Pod, apps/v1/Deployment');
  const slash = kind.lastIndexOf('/');
  return {
    ...(slash < 0 ? {} : { apiVersion: kind.slice(0, slash) }),
    kind: kind.slice(slash + 1),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
}

function wholeOperation(file: string | undefined, flags: OperationFlags): OperationBody {
  if (file === undefined) throw usageError('say what to send: REQUEST KIND NAME, or --file with a whole operation');
  let value: unknown;
  try {
    [value] = readManifests(file);
  } catch {
    // Text format is no YAML.
    value = undefined;
  }
  const { account } = flags;
  const added = { ...common(flags), ...(account === undefined ? {} : { account }) };
  if (isJsonObject(value)) {
    // The body of a request, as curl sends it, is taken as well.
    const { operation = value } = value;
    if (isJsonObject(operation)) return { ...operation, ...added };
  }
  const [flag] = Object.keys(added);
  if (flag !== undefined)
    throw usageError(`--${flag.replace('Ms', '')} cannot be added to text format: write it into the file`);
  return file;
}

function common({ id, timeoutMs }: OperationFlags): Record<string, unknown> {
  return { ...(id === undefined ? {} : { id }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

/** The one Kubernetes object, or patch, of a YAML or JSON file, as JSON. */
function oneDocument(file: string | undefined, request: RequestName): string {
  if (file === undefined) throw usageError(`--file is missing: ${request} needs it`);
  const [document, ...others] = manifestsOf(file);
  if (document === undefined || others.length > 0) {
    const count = document === undefined ? 0 : others.length + 1;
    throw usageError(`--file must have one YAML document, it has ${count}; send each for itself`);
  }
  if (typeof document !== 'object') throw usageError('--file must have an object');
  return stringifyJson(document);
}

function manifestsOf(file: string): unknown[] {
  try {
    return readManifests(file);
  } catch (error) {
    throw error instanceof YamlError ? usageError(`--file is not YAML or JSON: ${error.message}`) : error;
  }
}

function isRequestName(name: string): name is RequestName {
  return (requestNames as readonly string[]).includes(name);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
