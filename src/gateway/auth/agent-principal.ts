/** An admitted agent as sessions see it, with its permissions by the current policy. */

import { GatewayError } from '../../core/errors.js';
import type { AgentPrincipal } from '../agents/principal.js';
import type { Admitted, Authentication } from './authentication.js';
import type { AgentGrant } from './policy.js';

export function agentPrincipal(
  admitted: Admitted<AgentGrant>,
  authentication: Pick<Authentication<AgentGrant>, 'reauthorize'>,
): AgentPrincipal {
  const { principal, identity } = admitted;
  let { grant } = admitted;
  return {
    name: principal,
    expiresAt: identity.expiresAt,
    policed: grant !== undefined,
    mayHaveZone: (zoneId) => grant?.zone(zoneId) ?? true,
    mayHaveAccount: (name) => grant?.account(name) ?? true,
    reauthorize: () => {
      const now = authentication.reauthorize(admitted);
      // Its accounts are bound to its former identity.
      if (now.principal !== principal)
        throw new GatewayError(
          'permission-denied',
          `the policy now maps ${identity.name} to ${now.principal}; dial again`,
        );
      ({ grant } = now);
    },
  };
}
