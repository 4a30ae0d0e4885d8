/** Whether the caller of the REST API is another instance of the cluster: by its token or its certificate, never by a header alone. */

import { GatewayError } from '../../core/errors.js';
import { forwardedByHeader } from './forwarding.js';
import type { InstanceTokens } from './instance-tokens.js';

/** A call as it came; the headers as forwarding.ts and instance-tokens.ts name them. */
export interface IncomingCall {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly forwardedBy: string | undefined;
  readonly token: string | undefined;
  /** Whether its body is what only instances send. */
  readonly isProtobuf: boolean;
}

export interface InstanceProofs {
  /** Absent: instances show certificates, or nobody has to prove to be one. */
  readonly tokens: Pick<InstanceTokens, 'verify'> | undefined;
  /** Whether the connection's certificate is an instance's; absent: none is asked for. */
  readonly hasInstanceCertificate: (() => boolean) | undefined;
  /** Whether callers have to prove who they are: then instances have to, as well. */
  readonly callersProve: boolean;
}

export interface CallingInstance {
  readonly instanceId: string | undefined;
  /** What the body has to be (SHA-256, base64url), by the instance's token. */
  readonly bodyDigest?: string;
}

/**
 * @returns undefined: the caller does not say that it is an instance, or nobody here has to prove it
 * @throws GatewayError `permission-denied` when it says that it is one and does not prove it
 */
export function callingInstance(call: IncomingCall, proofs: InstanceProofs): CallingInstance | undefined {
  const { method, path, forwardedBy, token, isProtobuf } = call;
  const { tokens, hasInstanceCertificate, callersProve } = proofs;
  if (forwardedBy === undefined && token === undefined && !isProtobuf) return undefined;
  if (tokens !== undefined && token !== undefined) {
    const { instanceId, bodyDigest } = tokens.verify(token, { method, path });
    if (forwardedBy !== undefined && forwardedBy !== instanceId) throw notProven();
    return { instanceId, bodyDigest };
  }
  if (hasInstanceCertificate?.() === true) return { instanceId: forwardedBy };
  // Authentication is off: every caller is trusted alike.
  if (!callersProve && tokens === undefined && hasInstanceCertificate === undefined) return undefined;
  throw notProven();
}

function notProven(): GatewayError {
  return new GatewayError(
    'permission-denied',
    'only instances may make this call, and the caller did not authenticate as one',
    { field: forwardedByHeader },
  );
}
