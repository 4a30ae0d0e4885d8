/**
 * Paths of API requests. What other servers on the way could read in another way than the API server does is refused: it has
 * no use, since no name in Kubernetes has a "/", a "%", or is "." or "..".
 */

import { GatewayError } from '../core/errors.js';
import { percentDecode } from './percent-encoding.js';

/** A target, decoded once, as the API server does it. */
export interface RequestTarget {
  readonly path: string;
  /** Of the path, without the empty one after a last "/"; one that was encoded may have "/". */
  readonly segments: readonly string[];
  /** As it was written, without its "?". */
  readonly query: string;
}

/**
 * @param target path and query as they were written
 * @throws GatewayError `invalid-argument` if the target is none, or its percent-encoding is invalid
 */
export function readTarget(target: string): RequestTarget {
  if (!target.startsWith('/')) throw refused('expected a path that begins with "/"');
  if (!/^[!-~]*$/u.test(target)) throw refused('expected ASCII without spaces and control characters');
  if (target.includes('#')) throw refused('"#" has to be written as %23');
  const end = target.indexOf('?');
  const segments = target
    .slice(1, end === -1 ? undefined : end)
    .split('/')
    .map(decode);
  const path = `/${segments.join('/')}`;
  if (segments.at(-1) === '') segments.pop();
  return { path, segments, query: end === -1 ? '' : target.slice(end + 1) };
}

/** @throws GatewayError `invalid-argument` if it might be read in more than one way */
export function refuseTricks(segment: string): void {
  if (segment === '') throw refused('"//" is not allowed');
  refuseDots(segment);
  if (/[/\\%]/u.test(segment)) throw refused('no name may have "/", "\\" or "%", also not as %2F, %5C or %25');
  refuseControls(segment);
}

/** For what follows a `proxy`, whose paths are those of another server. @throws GatewayError `invalid-argument` */
export function refuseTricksOfProxied(segment: string): void {
  for (const part of segment.split(/[/\\]/u)) refuseDots(part);
  refuseControls(segment);
}

// Some servers take what follows ";" for parameters, which they leave out.
function refuseDots(segment: string): void {
  if (/^\.\.?(?:;|$)/u.test(segment)) throw refused('"." and ".." are not allowed, in no encoding');
}

function refuseControls(segment: string): void {
  if (/\p{Cc}/u.test(segment)) throw refused('control characters are not allowed');
}

function decode(segment: string): string {
  const decoded = percentDecode(segment);
  if (decoded === undefined) throw refused('"%" has to be followed by two hexadecimal digits');
  return decoded;
}

function refused(message: string): GatewayError {
  return new GatewayError('invalid-argument', `the path of the request is not accepted: ${message}`, { field: 'path' });
}
