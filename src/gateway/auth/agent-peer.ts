/** An admitted agent as sessions see it, with its permissions by the current policy. */

import { GatewayError } from '../../core/errors.js';
import type { SessionPeer } from '../agents/principal.js';
import type { Admitted, Authentication } from './authentication.js';
import type { AgentGrant } from './policy.js';

export function agentPeer(
  admitted: Admitted<AgentGrant>,
  authentication: Pick<Authentication<AgentGrant>, 'judgeAgain'>,
): SessionPeer {
  const { owner, identity } = admitted;
  let { grant } = admitted;
  return {
    owner,
    expiresAt: identity.expiresAt,
    policed: grant !== undefined,
    mayHaveZone: (zoneId) => grant?.zone(zoneId) ?? true,
    mayHaveAccount: (name) => grant?.account(name) ?? true,
    judgeAgain: () => {
      const now = authentication.judgeAgain(admitted);
      // Its accounts are bound to its former identity.
      if (now.owner !== owner)
        throw new GatewayError('permission-denied', `the policy now maps ${identity.name} to ${now.owner}; dial again`);
      ({ grant } = now);
    },
  };
}
