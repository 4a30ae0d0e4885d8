/** What a request of the Kubernetes API asks for, read from its method and path as the API server reads them. */

import { GatewayError } from '../core/errors.js';
import { nameIn, readListOptions } from './list-options.js';
import { readTarget, refuseTricks, refuseTricksOfProxied } from './request-path.js';

/** As RequestInfo of k8s.io/apiserver (pkg/endpoints/request/requestinfo.go). */
export interface RequestInfo {
  /** Of an object or a kind; else only `verb` and `path` are set. */
  readonly isResource: boolean;
  /** "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"; without a resource the method. */
  readonly verb: string;
  /** Decoded, without the query. */
  readonly path: string;
  /** '' for the core group, for none, and so on. */
  readonly group: string;
  readonly version: string;
  /** '' for cluster-scoped objects and for all namespaces. */
  readonly namespace: string;
  /** In the plural: "pods". */
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
}

/** What may be done: nothing, reading without secrets and shells, or everything. */
export type AccessLevel = 'off' | 'read' | 'full';

/** Only these methods are of use with the API server; any other gets the verb ''. */
const verbs: ReadonlyMap<string, string> = new Map([
  ['POST', 'create'],
  ['GET', 'get'],
  ['HEAD', 'get'],
  ['PUT', 'update'],
  ['PATCH', 'patch'],
  ['DELETE', 'delete'],
]);

const withoutResource = {
  isResource: false,
  group: '',
  version: '',
  namespace: '',
  resource: '',
  subresource: '',
  name: '',
};

/**
 * As RequestInfoFactory.NewRequestInfo(), with one difference: if `limit`, `timeoutSeconds` or `labelSelector` are
 * invalid, which the API server answers with 400, `name` may still be set by `fieldSelector`.
 * @param method in upper case
 * @param target path and query as they were written
 * @throws GatewayError `invalid-argument` with the field `path` if the path could be read in more than one way
 */
export function requestInfo(method: string, target: string): RequestInfo {
  const { path, segments, query } = readTarget(target);
  const named = readResource(segments);
  const info: RequestInfo =
    named === undefined
      ? { ...withoutResource, verb: method.toLowerCase(), path }
      : { ...readVerb(method, query, named), isResource: true, path };
  // What follows is the path of another server.
  const own = named?.subresource === 'proxy' || named?.verb === 'proxy' ? named.own : segments.length;
  segments.slice(0, own).forEach(refuseTricks);
  segments.slice(own).forEach(refuseTricksOfProxied);
  return info;
}

/** Why access `read` does not allow a request, as part of a sentence; undefined: it does. */
export function refusedByRead(info: RequestInfo, upgrade: string): string | undefined {
  const { isResource, verb, path, resource, subresource } = info;
  if (upgrade !== '') return `it does not allow connections that change to ${upgrade}`;
  if (!isResource) {
    if (verb !== 'get' && verb !== 'head') return `it allows GET and HEAD of ${path}, not ${verb.toUpperCase()}`;
    return /^\/(?:apis?|openapi|version|healthz|livez|readyz)(?:\/|$)/u.test(path)
      ? undefined
      : `it does not allow ${path}, which is neither of an object nor about the API`;
  }
  if (!readingVerbs.has(verb)) return `it allows get, list and watch, not ${verb === '' ? 'this method' : verb}`;
  // Also those of other groups: if they are called secrets, they are.
  if (/^secrets$/iu.test(resource) || resource.includes('*')) return `it does not allow ${resource}`;
  if (subresource === '' || readableSubresources.has(subresource)) return undefined;
  return `it does not allow ${resource}/${subresource}`;
}

const readingVerbs = new Set(['get', 'list', 'watch']);
/** The others change something, open a shell, give tokens, or reach what is behind the API server; by GET, too. */
const readableSubresources = new Set(['status', 'scale', 'log']);

/** What a path names. */
interface NamedResource {
  /** "watch" and "proxy" of paths such as /api/v1/watch/pods; '' if the method says it. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** How many segments the API server itself reads, at most. */
  readonly own: number;
}

function readResource(segments: readonly string[]): NamedResource | undefined {
  const [prefix, ...afterPrefix] = segments;
  if (segments.length < 3 || (prefix !== 'api' && prefix !== 'apis')) return undefined;
  if (prefix === 'apis' && afterPrefix.length < 3) return undefined;
  const [group = '', version = '', ...afterVersion] = prefix === 'apis' ? afterPrefix : ['', ...afterPrefix];
  const isVerb = afterVersion[0] === 'watch' || afterVersion[0] === 'proxy';
  const verb = isVerb ? (afterVersion[0] ?? '') : '';
  let parts = isVerb ? afterVersion.slice(1) : afterVersion;
  if (parts.length === 0) {
    throw new GatewayError('invalid-argument', `expected a resource after "${verb}"`, { field: 'path' });
  }
  const namespace = parts[0] === 'namespaces' ? (parts[1] ?? '') : '';
  if (namespace !== '' && parts.length > 2 && !namespaceSubresources.has(parts[2] ?? '')) parts = parts.slice(2);
  const [resource = '', name = '', third = ''] = parts;
  const before = segments.length - parts.length;
  const subresource = verb === 'proxy' ? '' : third;
  return { verb, group, version, namespace, resource, subresource, name, own: before + (verb === 'proxy' ? 2 : 3) };
}

const namespaceSubresources = new Set(['status', 'finalize']);

function readVerb(method: string, query: string, named: NamedResource): Omit<RequestInfo, 'isResource' | 'path'> {
  const { group, version, namespace, resource, subresource, name } = named;
  const rest = { group, version, namespace, resource, subresource };
  const verb = named.verb === '' ? (verbs.get(method) ?? '') : named.verb;
  if (name !== '' || (verb !== 'get' && verb !== 'delete')) return { ...rest, verb, name };
  if (verb === 'delete') return { ...rest, verb: 'deletecollection', name };
  const { watch, fieldSelector } = readListOptions(query);
  return { ...rest, verb: watch ? 'watch' : 'list', name: nameIn(fieldSelector) };
}
