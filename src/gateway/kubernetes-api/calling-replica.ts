/** Whether a request comes from another replica, which has let its caller in: by its token or certificate, as everywhere. */

import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { GatewayError } from '../../core/errors.js';
import { passesByCertificate, type Filter } from '../auth/filter.js';
import { headDigest } from '../peers/api-forwarding.js';
import { callingInstance } from '../peers/calling-instance.js';
import { forwardedByHeader } from '../peers/forwarding.js';
import { instanceTokenHeader, type InstanceTokens } from '../peers/instance-tokens.js';

type AnyRequest = IncomingMessage | Http2ServerRequest;

export interface CallingReplicaOptions {
  /** Absent: instances show certificates, or nobody has to prove to be one. */
  readonly tokens: Pick<InstanceTokens, 'verify'> | undefined;
  /** Of the certificates of instances; none: they show tokens, or nobody has to prove to be one. */
  readonly filters: readonly Filter[];
  /** Whether callers have to prove who they are. */
  readonly callersProve: boolean;
  /** Anybody may do everything, so that nobody gains by saying to be a replica. */
  readonly everybodyIsAdmin: boolean;
}

export class CallingReplica {
  readonly #options: CallingReplicaOptions;
  readonly #proves: boolean;

  constructor(options: CallingReplicaOptions) {
    this.#options = options;
    this.#proves = options.tokens !== undefined || options.filters.length > 0 || options.callersProve;
  }

  /** Whether a request says that another replica forwards it, and could be right. */
  claims({ headers }: AnyRequest): boolean {
    if (headers[forwardedByHeader] === undefined && headers[instanceTokenHeader] === undefined) return false;
    return this.#proves || this.#options.everybodyIsAdmin;
  }

  /** Checks such a request. @throws GatewayError `permission-denied` */
  prove(request: AnyRequest): void {
    if (!this.#proves) return;
    const { tokens, filters, callersProve } = this.#options;
    const { method = '', url = '', headers, rawHeaders } = request;
    const caller = callingInstance(
      {
        method,
        path: url,
        forwardedBy: single(headers[forwardedByHeader]),
        token: single(headers[instanceTokenHeader]),
        isProtobuf: false,
      },
      {
        tokens,
        hasInstanceCertificate: filters.length === 0 ? undefined : () => passesByCertificate(request.socket, filters),
        callersProve,
      },
    );
    if (caller?.bodyDigest === undefined || caller.bodyDigest === headDigest(rawHeaders)) return;
    throw new GatewayError(
      'permission-denied',
      'not a call from an instance: token refused: issued for another caller',
      {
        field: instanceTokenHeader,
      },
    );
  }
}

function single(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(',') : value;
}
