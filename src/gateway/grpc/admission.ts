/** Lets a stream of an agent in once its peer has proven who it is. Nothing is read of it before. */

import { messageOf, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { SessionPeer } from '../agents/principal.js';
import type { Credentials } from '../auth/identity.js';
import type { Metrics } from '../telemetry/metrics.js';
import { endCall, type ByteStream } from './byte-stream.js';

export interface AdmissionOptions {
  /** Absent: nobody has to prove anything. */
  readonly admit: ((credentials: Credentials, signal: AbortSignal) => Promise<SessionPeer>) | undefined;
  /** For the proof to be checked, in ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export function admitStream(
  call: ByteStream,
  options: AdmissionOptions,
  serve: (peer: SessionPeer | undefined) => void,
): void {
  const { admit } = options;
  // Nobody else listens yet.
  call.on('error', () => undefined);
  setImmediate(() => {
    // A stream that is reset as soon as it is opened (CVE-2023-44487) is over by now, and has cost nothing.
    if (call.cancelled) endCall(call, undefined);
    else if (admit === undefined) serve(undefined);
    else check(call, admit, options, serve);
  });
}

function check(
  call: ByteStream,
  admit: NonNullable<AdmissionOptions['admit']>,
  { timeoutMs, logger, metrics }: AdmissionOptions,
  serve: (peer: SessionPeer) => void,
): void {
  const proof = admit(credentialsOf(call), AbortSignal.timeout(timeoutMs));
  proof.then(
    (peer) => {
      metrics.authentications.inc({ port: 'agents', outcome: 'admitted' });
      if (call.cancelled) endCall(call, undefined);
      else serve(peer);
    },
    (thrown: unknown) => {
      const error = toGatewayError(thrown);
      metrics.authentications.inc({ port: 'agents', outcome: error.code });
      const cause = messageOf(error.cause ?? '');
      logger.warn({ peer: call.getPeer(), code: error.code, error: error.message, cause }, 'agent not let in');
      endCall(call, error);
    },
  );
}

function credentialsOf(call: ByteStream): Credentials {
  const [authorization, ...more] = call.metadata.get('authorization');
  const certificate = call.getAuthContext().sslPeerCertificate?.raw;
  return {
    ...(Buffer.isBuffer(certificate) ? { certificate } : {}),
    // Two that contradict each other are no proof.
    ...(authorization === undefined ? {} : { authorization: more.length > 0 ? '' : String(authorization) }),
  };
}
