/** `kubernetes.Api` on grpc-js: gives the stream of an agent to the session that it belongs to. */

import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import { GatewayTunnel, readHello, type TunnelHello } from '../../tunnel/gateway-tunnel.js';
import type { AgentPrincipal } from '../agents/principal.js';
import type { Registry } from '../agents/registry.js';
import type { Session } from '../agents/session.js';
import type { AgentTunnels, AttachedTunnel } from '../kubernetes-api/agent-tunnels.js';
import { admitStream, type AdmissionOptions } from './admission.js';
import { byteStreamMethod, endCall, type ByteStream } from './byte-stream.js';

export interface KubernetesApiServiceOptions {
  readonly registry: Pick<Registry, 'sessionOf'>;
  readonly tunnels: Pick<AgentTunnels, 'attach' | 'detach'>;
  readonly admission: AdmissionOptions;
  /** From the start of a stream to its Hello, in ms. */
  readonly handshakeTimeoutMs: number;
}

export const kubernetesApiDefinition: ServiceDefinition = { serve: byteStreamMethod('/kubernetes.Api/Serve') };

export function createKubernetesApiService(options: KubernetesApiServiceOptions): UntypedServiceImplementation {
  return {
    serve: (call: ByteStream) => {
      admitStream(call, options.admission, (principal) => {
        serve(call, principal, options);
      });
    },
  };
}

function serve(call: ByteStream, principal: AgentPrincipal | undefined, options: KubernetesApiServiceOptions): void {
  const { registry, tunnels, handshakeTimeoutMs } = options;
  const tunnel: GatewayTunnel = new GatewayTunnel({
    write: (message) => {
      // One message at a time: what comes up meanwhile shares the next one.
      call.write(message, () => {
        tunnel.drained();
      });
      return false;
    },
  });
  let session: Session | undefined;
  let over = false;
  const end = (error?: GatewayError): void => {
    clearTimeout(handshake);
    if (over) return;
    over = true;
    endCall(call, error);
  };
  const attached: AttachedTunnel = { tunnel, end };
  const handshake = setTimeout(() => {
    end(new GatewayError('timed-out', `expected a Hello within ${String(handshakeTimeoutMs)} ms`));
  }, handshakeTimeoutMs);
  const ended = (error: GatewayError): void => {
    if (session !== undefined) tunnels.detach(session, attached, error);
    end(error);
  };
  call.on('data', (message: Uint8Array) => {
    if (over) return;
    try {
      if (session !== undefined) {
        tunnel.receive(message);
        return;
      }
      const named = sessionOf(registry, principal, readHello(message));
      clearTimeout(handshake);
      tunnels.attach(named, attached);
      session = named;
    } catch (error) {
      ended(toGatewayError(error));
    }
  });
  call.on('end', () => {
    ended(new GatewayError('agent-lost', 'the agent ended its stream for the Kubernetes API'));
  });
  call.on('cancelled', () => {
    ended(new GatewayError('agent-lost', 'the stream of the agent was reset, or its connection broke'));
  });
  call.on('error', (error: Error) => {
    ended(new GatewayError('agent-lost', 'the stream of the agent broke', { cause: error }));
  });
}

/** @throws GatewayError `permission-denied` */
function sessionOf(
  registry: Pick<Registry, 'sessionOf'>,
  principal: AgentPrincipal | undefined,
  { agentId, epoch }: TunnelHello,
): Session {
  const session = registry.sessionOf(principal?.name, agentId);
  if (session?.agent.epoch === epoch) return session;
  const message = `hello: no connection with epoch ${String(epoch)} of this agent and principal is registered here`;
  throw new GatewayError('permission-denied', message, { field: 'hello' });
}
