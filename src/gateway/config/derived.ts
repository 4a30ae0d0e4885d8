/** Defaults that depend on other settings and on where the process runs. */

import { hostname, networkInterfaces } from 'node:os';

/** The parts of the process's environment that defaults need. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether the log goes to a terminal. */
  readonly terminal: boolean;
}

/** The default of every `derived` setting, by key, in terms of the settings that are known. */
export function derivedDefaults(
  setting: (key: string) => unknown,
  { environment, terminal }: Surroundings,
): ReadonlyMap<string, unknown> {
  const local = setting('kubesvc.cluster') === 'local';
  const scheme = setting('server.ssl.enabled') === true ? 'https' : 'http';
  const host = local ? '127.0.0.1' : (environment['POD_IP'] ?? firstAddress() ?? '127.0.0.1');
  const authority = `${host.includes(':') ? `[${host}]` : host}:${String(setting('server.port'))}`;
  const address = local ? '127.0.0.1' : '*';
  const takesCredentials = [
    'x509.enabled',
    'tokens.file',
    'tokens.jwt.jwksFile',
    'tokens.jwt.jwksUrl',
    'tokens.kubernetes.enabled',
  ].some((name) => ![undefined, false].includes(setting(`server.auth.${name}`) as undefined | false));
  const anonymousRole = !takesCredentials && isLoopback(setting('server.address') ?? address) ? 'admin' : 'none';
  return new Map<string, unknown>([
    ['instance.id', environment['POD_NAME'] ?? hostname()],
    ['instance.baseUrl', `${scheme}://${authority}`],
    ['server.address', address],
    ['kubesvc.grpc.server.address', address],
    ['server.auth.anonymousRole', anonymousRole],
    ['kubesvc.cache.cacheKinds', setting('kubesvc.cache.cacheDefaults')],
    ['kubesvc.drain.endpointRemovalMs', local ? 0 : 3_000],
    ['spinnaker.gateways', hostOf(setting('kubesvc.kubernetesApi.publicUrl')) ?? 'agent-gateway'],
    ['logging.format', terminal ? 'text' : 'json'],
  ]);
}

function hostOf(url: unknown): string | undefined {
  return typeof url === 'string' && URL.canParse(url) ? new URL(url).hostname : undefined;
}

/** Whether only this machine reaches the address. */
export function isLoopback(address: unknown): boolean {
  return typeof address === 'string' && /^(localhost|127\.\d+\.\d+\.\d+|::1)$/u.test(address);
}

function firstAddress(): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address;
}
