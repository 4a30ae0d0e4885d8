/** The addresses of gateways in `clouddriver.grpc`. */

import type { AgentConfiguration } from './schema.js';

const usual = 'expected HOST:PORT, such as spin-clouddriver-grpc:9091, or several separated by commas';

/**
 * `HOST:PORT` of each gateway. `http://` and `https://` in front are accepted if they agree with clouddriver.insecure.
 * @returns the problem, in words, if one cannot be dialled
 */
export function gatewayAddresses({
  grpc,
  insecure,
}: Pick<AgentConfiguration['clouddriver'], 'grpc' | 'insecure'>): readonly string[] | string {
  // Not text: that was already reported.
  if (typeof grpc !== 'string') return [];
  const addresses: string[] = [];
  for (const written of grpc.split(',').map((address) => address.trim())) {
    const address = addressOf(written, insecure);
    if ('problem' in address) return address.problem;
    addresses.push(address.dialled);
  }
  return addresses;
}

function addressOf(written: string, insecure: boolean): { readonly dialled: string } | { readonly problem: string } {
  const [, scheme = '', authority = '', path = ''] =
    /^(?:([a-z][a-z\d+.-]*):\/\/)?([^/?#]*)(.*)$/isu.exec(written) ?? [];
  const transport = scheme.toLowerCase();
  if (!['', 'http', 'https'].includes(transport)) return { problem: `${usual}, found one with ${transport}://` };
  if (transport === 'https' && insecure)
    return {
      problem: 'https:// needs TLS, but clouddriver.insecure is true (its default); set it to false',
    };
  if (transport === 'http' && !insecure)
    return { problem: 'http:// means cleartext, but clouddriver.insecure is false; write HOST:PORT' };
  if (path !== '' && path !== '/') return { problem: `${usual}, found a path, which gRPC does not use` };
  const [, host = '', port] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/iu.exec(authority) ?? [];
  if (host === '') return { problem: `${usual}, found ${JSON.stringify(written)}` };
  if (port === undefined && transport !== 'https') {
    return { problem: `${usual}, found ${JSON.stringify(written)} without a port: gateways listen on 9091` };
  }
  const number = Number(port ?? 443);
  if (number < 1 || number > 65_535) return { problem: `${usual}, found the port ${String(number)}` };
  return { dialled: `${host}:${String(number)}` };
}
