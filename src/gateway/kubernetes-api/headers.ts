/**
 * Which headers pass: all but those of one connection (RFC 9110, 7.6.1), the caller's credentials, and those by which an API
 * server or an instance would take a request for somebody else's. What passes is unchanged and in its order.
 */

import type { HeaderList } from '../../tunnel/exchange.js';

const droppedOfConnection = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  // Node has answered it: the body comes.
  'expect',
];
const droppedOfRequests = new Set([...droppedOfConnection, 'host', 'authorization', 'cookie', 'forwarded']);
/**
 * Cookies go no further; another service would let clients pass the gateway by. `Trailer` only announces what comes anyhow,
 * and Node.js throws at it if the answer turns out to have none.
 */
const droppedOfAnswers = new Set([...droppedOfConnection, 'set-cookie', 'alt-svc', 'trailer']);
const impersonation = 'impersonate-';
const droppedBeginnings = [impersonation, 'x-forwarded-', 'x-remote-', 'x-agent-gateway-', 'proxy-', ':'];
/** What these say belongs to the body, so no connection may take it away. */
const neverOfConnection = new Set(['content-length', 'content-type', 'content-encoding']);

const bearerProtocol = 'base64url.bearer.authorization.k8s.io.';

/** Of a caller's request. @param rawHeaders of Node: name, value, name, value ... */
export function requestHeaders(rawHeaders: HeaderList): string[] {
  return passing(rawHeaders, false);
}

/** Of a request that another replica has let in: the same, with what that replica has added (`Impersonate-*`). */
export function forwardedHeaders(rawHeaders: HeaderList): string[] {
  return passing(rawHeaders, true);
}

function passing(rawHeaders: HeaderList, fromReplica: boolean): string[] {
  const named = namedByConnection(rawHeaders);
  const passed: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    const value = rawHeaders[index + 1] ?? '';
    const lower = name.toLowerCase();
    if (lower === 'te' && /(?:^|,)\s*trailers\s*(?:;|,|$)/iu.test(value)) passed.push(name, 'trailers');
    if (fromReplica && lower.startsWith(impersonation)) {
      passed.push(name, value);
      continue;
    }
    if (droppedOfRequests.has(lower) || hasDroppedBeginning(lower) || named?.has(lower) === true) continue;
    if (lower !== 'sec-websocket-protocol') {
      passed.push(name, value);
      continue;
    }
    const protocols = withoutBearer(value);
    if (protocols !== '') passed.push(name, protocols);
  }
  return passed;
}

/**
 * The headers of an API server's answer. What a browser would run is put into a sandbox: it comes from a cluster, perhaps by
 * `proxy` from a pod, and must not act as the console, whose origin it has.
 */
export function responseHeaders(headers: HeaderList): string[] {
  const named = namedByConnection(headers);
  const passed: string[] = [];
  let contentType = '';
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? '';
    const value = headers[index + 1] ?? '';
    const lower = name.toLowerCase();
    if (droppedOfAnswers.has(lower) || lower.startsWith('x-agent-gateway-') || lower.startsWith(':')) continue;
    if (named?.has(lower) === true) continue;
    if (lower === 'content-type') contentType = value.toLowerCase();
    passed.push(name, value);
  }
  if (isRunByBrowsers(contentType)) passed.push('Content-Security-Policy', 'sandbox');
  return passed;
}

/** The trailers of an API server's answer: those that say nothing of its head or its connection (RFC 9110, 6.5.1). */
export function responseTrailers(trailers: HeaderList): string[] {
  const passed: string[] = [];
  for (let index = 0; index + 1 < trailers.length; index += 2) {
    const name = trailers[index] ?? '';
    const lower = name.toLowerCase();
    const isOfHead =
      droppedOfAnswers.has(lower) || neverOfConnection.has(lower) || lower.startsWith('x-agent-gateway-');
    if (!isOfHead) passed.push(name, trailers[index + 1] ?? '');
  }
  return passed;
}

/** Whether a caller asks to be seen as somebody else (`kubectl --as`): the rules decide that, so such a request is refused. */
export function asksToImpersonate(rawHeaders: HeaderList): boolean {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase().startsWith(impersonation) === true) return true;
  }
  return false;
}

/**
 * The credential of a request as the header `Authorization` has it. Browsers cannot set that for a WebSocket, so Kubernetes
 * also takes a token as a subprotocol; it ends here (requestHeaders()).
 * @param protocols `Sec-WebSocket-Protocol`
 */
export function bearerOf(authorization: string | undefined, protocols: string | undefined): string | undefined {
  if (authorization !== undefined || protocols === undefined) return authorization;
  const protocol = splitList(protocols).find((name) => name.startsWith(bearerProtocol));
  if (protocol === undefined) return undefined;
  return `Bearer ${Buffer.from(protocol.slice(bearerProtocol.length), 'base64url').toString()}`;
}

function hasDroppedBeginning(name: string): boolean {
  for (const beginning of droppedBeginnings) if (name.startsWith(beginning)) return true;
  return false;
}

/** The headers that are of the connection because it says so; undefined if there are none, as nearly always. */
function namedByConnection(headers: HeaderList): Set<string> | undefined {
  let named: Set<string> | undefined;
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const value = headers[index + 1] ?? '';
    if (headers[index]?.toLowerCase() !== 'connection' || value === 'keep-alive' || value === 'close') continue;
    named ??= new Set();
    for (const name of splitList(value.toLowerCase())) if (!neverOfConnection.has(name)) named.add(name);
  }
  return named;
}

function withoutBearer(protocols: string): string {
  if (!protocols.includes(bearerProtocol)) return protocols;
  return splitList(protocols)
    .filter((name) => !name.startsWith(bearerProtocol))
    .join(', ');
}

function splitList(value: string): string[] {
  return value.split(',').map((item) => item.trim());
}

/** Those without a type, too: browsers guess one. */
function isRunByBrowsers(contentType: string): boolean {
  return contentType === '' || contentType.startsWith('text/html') || contentType.includes('xml');
}
