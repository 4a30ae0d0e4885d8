/** What the agent itself answers, as the API server would: Status objects. */

import type { RequestInfo } from '../../kubernetes/request-info.js';
import { reasonOf, statusObject } from '../../kubernetes/status.js';
import type { TunnelAnswer, HeaderList, RequestEvents, TunnelledRequest } from '../../tunnel/exchange.js';

export interface OwnAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer;
}

/** Client libraries wait so long and try again. */
const retryAfterSeconds = 5;

/**
 * @param seconds after which the client may send the request again
 * @param info of the request, if the refusal is about what it asks for
 */
export function refusal(code: number, message: string, seconds?: number, info?: RequestInfo): OwnAnswer {
  const details = {
    ...(info === undefined || info.name === '' ? {} : { name: info.name }),
    ...(info === undefined || info.group === '' ? {} : { group: info.group }),
    ...(info === undefined || info.resource === '' ? {} : { kind: info.resource }),
    ...(seconds === undefined ? {} : { retryAfterSeconds: seconds }),
  };
  const text = statusObject({ code, reason: reasonOf(code), message, details });
  const body = Buffer.from(text);
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(body.length)];
  return {
    status: code,
    headers: seconds === undefined ? headers : [...headers, 'Retry-After', String(seconds)],
    body,
  };
}

/** Nothing of the request has left the agent. */
export function noAnswer(account: string, reason: string): OwnAnswer {
  const message = `the API server of account "${account}" cannot be asked: ${reason}`;
  return refusal(503, message, retryAfterSeconds);
}

/** The API server may have acted: a client must not send the request again by itself, unless that changes nothing. */
export function lostAnswer(account: string, method: string, reason: string): OwnAnswer {
  const what = `the API server of account "${account}" ended the connection before it answered: ${reason}`;
  if (method === 'GET' || method === 'HEAD') return refusal(503, what, retryAfterSeconds);
  return refusal(504, `${what}; the request may have been carried out`);
}

/** Never 401: clients would take their own credentials for invalid. */
export function refusedCredentials(account: string): OwnAnswer {
  const message = `the API server of account "${account}" does not accept the credentials of the agent: see the kubeconfig of kubernetes.accounts[] in the configuration of the agent`;
  return refusal(503, message, retryAfterSeconds);
}

/** Answers a request that comes while the agent stops. */
export function refuseStopping({ account, method }: TunnelledRequest, answer: TunnelAnswer): RequestEvents {
  const { status, headers, body } = noAnswer(account, 'its agent is stopping');
  answer.respond({ status, headers });
  if (method !== 'HEAD') answer.write(body);
  answer.end();
  const ignore = (): void => undefined;
  return { onData: ignore, onEnd: ignore, onDrain: ignore, onCancelled: ignore };
}
