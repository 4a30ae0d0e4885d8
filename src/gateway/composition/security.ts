/** Opens what the configuration says about who may come in, on both ports, and who is an instance. */

import type { Environment } from '../../core/environment.js';
import type { Logger } from '../../core/logger.js';
import type { ReleaseStack } from '../../core/release-stack.js';
import { parseSharedSecrets, type SharedSecrets } from '../../core/shared-secrets.js';
import { Authentication } from '../auth/authentication.js';
import { parseFilter } from '../auth/filter.js';
import { InstanceTokens } from '../peers/instance-tokens.js';
import { parseAgentPolicy, parseCallerPolicy, type AgentGrant, type CallerGrant } from '../auth/policy.js';
import { ReloadedFile } from '../auth/reloaded-file.js';
import type { Config } from '../config/config.js';
import type { PeerTls } from '../peers/peer-address.js';
import type { AuthorizationOptions } from '../rest/authorization.js';
import type { TlsMaterial } from '../tls/material.js';
import { trustAnchor } from '../tls/trust-anchor.js';

export interface Security {
  /** Absent: agents do not have to prove anything. */
  readonly agents: Authentication<AgentGrant> | undefined;
  readonly callers: Authentication<CallerGrant> | undefined;
  /** Absent: instances sign nothing. */
  readonly instanceTokens: InstanceTokens | undefined;
  /** What the instances share; absent: nothing. */
  readonly instanceSecrets: (() => SharedSecrets) | undefined;
  /** Follows the files until the signal aborts. */
  run(logger: Logger, signal: AbortSignal): Promise<void>;
}

/** @throws GatewayError `configuration` naming the setting of the file that cannot be used */
export async function openSecurity(
  { kubesvc, server, instance }: Config,
  environment: Environment,
  scope: Pick<ReleaseStack, 'push'>,
  now: () => number,
): Promise<Security> {
  const agents = await Authentication.open('kubesvc.grpc.auth', kubesvc.grpc.auth, parseAgentPolicy, {
    now,
    environment,
  });
  if (agents !== undefined) scope.push('authentication of agents', () => agents.close());
  const callers = await Authentication.open('server.auth', server.auth, parseCallerPolicy, { now, environment });
  if (callers !== undefined) scope.push('authentication of callers', () => callers.close());
  const { secretFile } = server.auth.instances;
  const secrets =
    secretFile === undefined
      ? undefined
      : await ReloadedFile.open('server.auth.instances.secretFile', secretFile, parseSharedSecrets);
  const instanceTokens =
    secrets && new InstanceTokens({ instanceId: instance.id, secrets: () => secrets.current, now });
  return {
    agents,
    callers,
    instanceTokens,
    instanceSecrets: secrets && (() => secrets.current),
    run: async (logger, signal) => {
      const parts = [agents, callers, secrets].filter((part) => part !== undefined);
      await Promise.all(parts.map((part) => part.run(logger, signal)));
    },
  };
}

/** The credentials that the REST API requires of its callers. */
export function authorizationOf(
  { server }: Config,
  { callers, instanceTokens }: Security,
): Omit<AuthorizationOptions, 'logger' | 'metrics' | 'timeoutMs'> {
  const { anonymousRole, instances } = server.auth;
  const instanceFilters = instances.filters.map(parseFilter).filter((filter) => typeof filter !== 'string');
  return { callers, anonymousRole, instanceTokens, instanceFilters };
}

/**
 * How this instance speaks TLS to others: with the certificate of its own REST API, and trust in the same authorities.
 */
export class TlsToPeers {
  #material: TlsMaterial | undefined;
  readonly #serverName: string | undefined;

  /** @param material of the REST API; undefined where TLS is off */
  constructor(material: TlsMaterial | undefined, serverName: string | undefined) {
    this.#material = material;
    this.#serverName = serverName;
  }

  get current(): PeerTls {
    const { ca, cert, key, passphrase } = this.#material ?? {};
    return { ca, cert, key, passphrase, servername: this.#serverName };
  }

  /** PEM of the CA that clients of this instance need; undefined: none, or not known here. */
  get certificateAuthority(): string | undefined {
    const { cert, ca } = this.#material ?? {};
    return cert === undefined ? undefined : trustAnchor({ cert, ca });
  }

  /** From the next connection on. */
  renew(material: TlsMaterial): void {
    this.#material = material;
  }
}
