/** Status: what the API server answers when it refuses or fails (meta/v1, Status and StatusReason). */

import { stringifyJson } from '../documents/exact-json.js';

export interface KubernetesStatus {
  /** Of HTTP. */
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly details?: StatusDetails;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  /** For 429, 503 and 504: client libraries wait so long before they try again. */
  readonly retryAfterSeconds?: number;
}

/** As k8s.io/apimachinery/pkg/api/errors has them; where a code has several, the one that says the least. */
const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** The reason that belongs to a code of HTTP; '' (StatusReasonUnknown) for the others. */
export function reasonOf(code: number): string {
  return reasons[code] ?? '';
}

/** As the API server writes it, in JSON. */
export function statusObject({ code, reason, message, details }: KubernetesStatus): string {
  return stringifyJson({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    // Written as Go does it: nothing for ''.
    ...(reason === '' ? {} : { reason }),
    ...(details === undefined ? {} : { details }),
    code,
  });
}
