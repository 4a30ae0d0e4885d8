/**
 * The Kubernetes API of every account, on the sockets of the REST API: `/kubernetes/accounts/ACCOUNT/...`. It takes requests
 * before the framework does, because bodies, answers and connections of any kind pass through untouched.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import { asUnsent, GatewayError, toGatewayError } from '../../core/errors.js';
import { requestInfo, type RequestInfo } from '../../kubernetes/request-info.js';
import type { HttpResponseHead } from '../../tunnel/exchange.js';
import { requestKind, type ApiRequestKind } from '../../tunnel/request-kind.js';
import { certificateOf } from '../auth/certificate.js';
import { errorHeader, errorTextHeader, forwardedAnswerHeader, unsentHeader } from '../peers/api-forwarding.js';
import type { AuthorizedRequest, KubernetesApiAuthorization } from './authorization.js';
import { HttpCaller, UpgradingCaller, type Caller } from './caller.js';
import type { CallingReplica } from './calling-replica.js';
import { CreatedObject } from './created-object.js';
import { isCrossSite } from './cross-site.js';
import { asksToImpersonate, bearerOf, forwardedHeaders, requestHeaders, responseHeaders } from './headers.js';
import { splitPath } from './path.js';
import { RequestReport, type RequestReportOptions } from './request-report.js';
import { withoutRoom } from './room.js';
import type { ApiRouting } from './routing.js';
import { ServedRequest, type AnswerKind, type ServedEnd } from './served-request.js';
import { statusAnswer } from './status.js';

export interface KubernetesApiOptions extends RequestReportOptions {
  readonly routing: Pick<ApiRouting, 'start' | 'startHere'>;
  readonly authorization: Pick<KubernetesApiAuthorization, 'admit' | 'takesCertificates'>;
  readonly callingReplica: Pick<CallingReplica, 'claims' | 'prove'>;
  /** Requests under way; further ones are refused. */
  readonly maxRequests: number;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

/** A request as it came. */
interface Arrival {
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly caller: Caller;
  readonly method: string;
  readonly url: string;
  /** '' for none. */
  readonly upgrade: string;
  /** Of its body, in bytes; undefined: its head does not say. */
  readonly bodyLength: number | undefined;
}

export class KubernetesApiHandler {
  readonly #options: KubernetesApiOptions;
  readonly #served = new Set<ServedRequest>();
  readonly #openByKind: Record<ApiRequestKind, number> = { request: 0, watch: 0, upgrade: 0 };
  #refusal: GatewayError | undefined;

  constructor(options: KubernetesApiOptions) {
    this.#options = options;
  }

  /** Requests under way, those of other replicas included. */
  get openCount(): number {
    return this.#served.size;
  }

  /** Serves a request that isKubernetesApi() knows. */
  request(request: Arrival['request'], response: ServerResponse | Http2ServerResponse): void {
    const caller = new HttpCaller(request, response);
    this.#serve({ ...lineOf(request), request, caller, upgrade: '', bodyLength: bodyLengthOf(request) });
  }

  /** The same for a request to change the protocol, as Node.js' 'upgrade' gives it. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    let caller: UpgradingCaller;
    try {
      caller = new UpgradingCaller(request, socket, head);
    } catch {
      // It came behind a request that is still under way. Its answer would be written into the other one's.
      socket.destroy();
      return;
    }
    const { upgrade = '' } = request.headers;
    this.#serve({ ...lineOf(request), request, caller, upgrade, bodyLength: undefined });
  }

  /** Refuses new requests with this error, and ends watches between two events; what else is under way goes on. */
  drain(refusal: GatewayError): void {
    this.#refusal = asUnsent(refusal);
    for (const served of this.#served) served.drain();
  }

  /** Breaks off everything. */
  stop(): void {
    for (const served of [...this.#served]) served.cut();
  }

  #serve(arrival: Arrival): void {
    if (this.#options.callingReplica.claims(arrival.request)) this.#serveReplica(arrival);
    else this.#serveCaller(arrival);
  }

  /** A request that another replica has let in. */
  #serveReplica(arrival: Arrival): void {
    const { routing, callingReplica } = this.#options;
    const { method, upgrade } = arrival;
    const path = attempt(() => splitPath(arrival.url));
    const kind = requestKind({ method, upgrade, target: path instanceof GatewayError ? '' : path.target });
    const full = this.#full(kind);
    const served = this.#open(arrival, kind, true, () => undefined);
    try {
      if (full !== undefined) throw full;
      callingReplica.prove(arrival.request);
      if (path instanceof GatewayError) throw path;
      const { account, target } = path;
      const headers = forwardedHeaders(arrival.request.rawHeaders);
      const request = { account, method, target, headers, upgrade, lasting: false };
      served.begin('bytes', (first, events) => routing.startHere(request, first, events));
    } catch (error) {
      served.refuse(toGatewayError(error));
    }
  }

  #serveCaller(arrival: Arrival): void {
    const { method, url, upgrade } = arrival;
    const { routing } = this.#options;
    const { rawHeaders, socket } = arrival.request;
    const origin = { rawHeaders, address: socket.remoteAddress ?? '' };
    const asked = attempt(() => read(method, url));
    const kind = requestKind({ method, upgrade, target: asked instanceof GatewayError ? '' : asked.target });
    const report =
      asked instanceof GatewayError
        ? new RequestReport(this.#options, '', undefined, upgrade, origin)
        : new RequestReport(this.#options, asked.account, asked.info, upgrade, origin);
    const full = this.#full(kind);
    const served = this.#open(arrival, kind, false, (end) => {
      report.ended(end);
    });
    const refuse = (error: unknown): void => {
      served.refuse(asUnsent(error));
    };
    try {
      if (full !== undefined) throw full;
      if (asked instanceof GatewayError) throw asked;
      if (this.#refusal !== undefined) throw this.#refusal;
      const { account, target, info } = asked;
      if (isCrossSite(arrival.request.headers)) throw crossSite(account);
      const begin = ({ caller, impersonation }: AuthorizedRequest): void => {
        report.caller = caller;
        if (asksToImpersonate(rawHeaders)) throw impersonates(caller, account);
        const headers = report.traced([...requestHeaders(rawHeaders), ...impersonation]);
        const request = { account, method, target, headers, upgrade, lasting: kind !== 'request' };
        served.begin(answerKindOf(info), (first, events) => {
          const onDestination = report.sentTo.bind(report);
          if (info.verb !== 'create' || info.name !== '') return routing.start(request, first, events, onDestination);
          report.created = new CreatedObject(first.body);
          return routing.start(request, first, report.created.hearing(events), onDestination);
        });
      };
      const admitted = this.#admit(arrival, account, info);
      if (admitted instanceof Promise) admitted.then(begin).catch(refuse);
      else begin(admitted);
    } catch (error) {
      refuse(error);
    }
  }

  #admit({ request, upgrade }: Arrival, account: string, info: RequestInfo) {
    const { authorization, stopping } = this.#options;
    const protocols = request.headers['sec-websocket-protocol'];
    const credentials = {
      certificate: authorization.takesCertificates ? certificateOf(request.socket) : undefined,
      authorization: bearerOf(request.headers.authorization, protocols),
      address: request.socket.remoteAddress ?? '',
    };
    return authorization.admit(credentials, account, { ...info, upgrade }, stopping);
  }

  #open(arrival: Arrival, kind: ApiRequestKind, forwarded: boolean, ended: (end: ServedEnd) => void) {
    const { caller, method, upgrade, bodyLength } = arrival;
    const served: ServedRequest = new ServedRequest({
      caller,
      method,
      upgrade: upgrade !== '',
      bodyLength,
      passed: (head) => passedHead(head, forwarded),
      answerOf: (error) => ownAnswer(error, method, forwarded),
      onEnd: (end) => {
        this.#served.delete(served);
        this.#openByKind[kind] -= 1;
        ended(end);
      },
    });
    this.#served.add(served);
    this.#openByKind[kind] += 1;
    if (this.#refusal !== undefined) served.drain();
    return served;
  }

  /** @returns why there is no room for one more; undefined: there is */
  #full(kind: ApiRequestKind): GatewayError | undefined {
    const { maxRequests } = this.#options;
    const full = withoutRoom(kind, this.#openByKind, maxRequests);
    if (full === undefined) return undefined;
    const message = `this instance has ${full} of the Kubernetes API under way (kubesvc.kubernetesApi.maxRequests: ${String(maxRequests)}); try again later`;
    return new GatewayError('overloaded', message, { unsent: true, retryAfterMs: 1_000 });
  }
}

/** By what is asked for. */
function answerKindOf({ isResource, verb, subresource }: RequestInfo): AnswerKind {
  if (verb === 'watch') return 'watch';
  // Other subresources, such as logs, and what is behind a proxy, may be read for as long as they last.
  if (isResource) return (verb === 'get' || verb === 'list') && documents.has(subresource) ? 'document' : 'bytes';
  return verb === 'get' ? 'document' : 'bytes';
}

const documents = new Set(['', 'status', 'scale']);

function lineOf({
  method = '',
  url = '',
}: {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
}) {
  return { method, url };
}

/** What a caller asks for. */
function read(method: string, url: string) {
  const { account, target } = splitPath(url);
  return { account, target, info: requestInfo(method, target) };
}

function attempt<Value>(work: () => Value): Value | GatewayError {
  try {
    return work();
  } catch (error) {
    return toGatewayError(error);
  }
}

function bodyLengthOf(request: Arrival['request']): number | undefined {
  const length = request.headers['content-length'];
  if (length !== undefined) return Number(length);
  if ('stream' in request) return request.stream.endAfterHeaders ? 0 : undefined;
  return request.headers['transfer-encoding'] === undefined ? 0 : undefined;
}

/** The head of an answer as the caller gets it. */
function passedHead({ status, headers }: HttpResponseHead, forwarded: boolean): HttpResponseHead {
  const passed = responseHeaders(headers);
  if (forwarded) passed.push(forwardedAnswerHeader, 'true');
  if (status !== 101) return { status, headers: passed };
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index]?.toLowerCase() === 'upgrade') passed.push('Upgrade', headers[index + 1] ?? '');
  }
  return { status, headers: passed };
}

function crossSite(account: string): GatewayError {
  const message = `forbidden: a page of another site (Origin) cannot use the Kubernetes API of account "${account}" without a bearer token`;
  return new GatewayError('permission-denied', message, { account, unsent: true });
}

function impersonates(caller: string, account: string): GatewayError {
  const message = `forbidden: ${caller} cannot impersonate anybody at account "${account}": \`as\` in the rules of server.auth.policyFile decides as whom the cluster sees a caller; remove --as and the headers Impersonate-*`;
  return new GatewayError('permission-denied', message, { account, unsent: true });
}

/** The gateway's own answer. For another replica it says what the error is. */
function ownAnswer(
  error: GatewayError,
  method: string,
  forwarded: boolean,
): { readonly head: HttpResponseHead; readonly body: Uint8Array } {
  const { status, headers, body } = statusAnswer(error, method);
  const all = [...headers];
  if (forwarded) {
    all.push(
      errorHeader,
      error.code,
      errorTextHeader,
      encodeURIComponent(error.message.slice(0, longestText).toWellFormed()),
    );
    if (error.details.unsent === true) all.push(unsentHeader, 'true');
  }
  return { head: { status, headers: all }, body: Buffer.from(body) };
}

/** Characters of an error's text between replicas: percent-encoded, they fit into the headers. */
const longestText = 1_000;
