/** `kubeconfig`: prints a kubeconfig for accounts, or merges it into the one of kubectl. */

import { resolve } from 'node:path';
import { command, type Command, type CommandIo } from '../command-line/command.js';
import { file, toggle, type FlagValues } from '../command-line/flags.js';
import { UsageError } from '../command-line/usage-error.js';
import { tokenFileOf } from './credentials.js';
import { ClientError, exitCodes } from './exit-code.js';
import { gatewayFlags } from './flags.js';
import { defaultKubeconfig, mergeKubeconfig } from './kubeconfig-file.js';
import { format } from './output.js';
import { openSession } from './session.js';

interface Named {
  readonly name: string;
}

/** As `GET /kubernetes/kubeconfig` gives it: with our mark in every entry, without credentials. */
interface Kubeconfig {
  readonly apiVersion: string;
  readonly kind: string;
  readonly clusters: readonly (Named & { readonly cluster: Readonly<Record<string, unknown>> })[];
  readonly contexts: readonly (Named & { readonly context: object })[];
  readonly users: readonly (Named & { readonly user: object })[];
  readonly 'current-context'?: string;
}

const mark = 'agent-gateway';
const flags = {
  merge: toggle('merge it into $KUBECONFIG, or ~/.kube/config, instead of printing it'),
  kubeconfig: file({ help: 'the file to merge it into; implies --merge' }),
  current: toggle('make the first ACCOUNT the current context'),
  ...gatewayFlags,
};

export const kubeconfigCommand: Command = command({
  name: 'kubeconfig',
  summary: `Write a kubeconfig with a context for each account, named after it (default: all).

The gateway's URL in it comes from the gateway (kubesvc.kubernetesApi.publicUrl). The token file, certificate and CA that
this command uses are those that kubectl will use. Entries that agent-gateway did not write are never replaced.`,
  arguments: [{ name: 'ACCOUNT', optional: true, repeated: true, completes: 'accounts' }],
  flags,
  run: async ({ words, flags: given }, io) => {
    if (given.current === true && words.length === 0) throw new UsageError('--current needs an ACCOUNT');
    const { client, form } = openSession(given, io);
    const query = words.map((name) => `account=${encodeURIComponent(name)}`).join('&');
    const found = await client.one<Kubeconfig>(`/kubernetes/kubeconfig${query === '' ? '' : `?${query}`}`, {
      kind: 'string',
      clusters: 'object',
      contexts: 'object',
      users: 'object',
    });
    if (found.contexts.length === 0) {
      const message =
        'no account serves the Kubernetes API: set apiAccess of accounts in their agents (docs/kubernetes-api.md)';
      throw new ClientError(exitCodes.notFound, message);
    }
    const config = {
      ...withCredentials(found, given, io),
      ...(given.current === true ? { 'current-context': words[0] ?? '' } : {}),
    };
    if (given.merge !== true && given.kubeconfig === undefined) {
      io.stdout.write(format(form === 'json' ? 'json' : 'yaml', config, []));
      return exitCodes.done;
    }
    const path = given.kubeconfig ?? defaultKubeconfig(io.environment);
    await merge(path, config);
    const [first, ...others] = config.contexts;
    const written = others.length === 0 ? '1 context is' : `${String(others.length + 1)} contexts are`;
    const kubectl = given.kubeconfig === undefined ? 'kubectl' : `kubectl --kubeconfig ${path}`;
    io.stderr.write(`${written} in ${path}. Try: ${kubectl} --context ${first?.name ?? ''} get pods\n`);
    return exitCodes.done;
  },
});

/** Names of files, because a kubeconfig with a token in it is a secret. */
function withCredentials(found: Kubeconfig, given: FlagValues<typeof flags>, io: CommandIo): Kubeconfig {
  const { cacert, cert, key } = given;
  const tokenFile = tokenFileOf(given, io.environment);
  const warn = (text: string): void => void io.stderr.write(`agent-gateway: ${text}\n`);
  if (tokenFile === undefined && io.environment['AGENT_GATEWAY_TOKEN'])
    warn('the token in $AGENT_GATEWAY_TOKEN is not in the kubeconfig; give it as a file (--token-file FILE)');
  const server = String(found.clusters[0]?.cluster['server']);
  if (tokenFile !== undefined && server.startsWith('http:'))
    warn(`kubectl sends no token to ${new URL(server).origin}, which is without TLS; see docs/kubernetes-api.md`);
  const credentials = {
    ...(tokenFile === undefined ? {} : { tokenFile: resolve(tokenFile) }),
    ...(cert === undefined ? {} : { 'client-certificate': resolve(cert) }),
    ...(key === undefined ? {} : { 'client-key': resolve(key) }),
  };
  return {
    ...found,
    clusters: found.clusters.map(({ name, cluster }) => {
      const { 'certificate-authority-data': data, ...rest } = cluster;
      const authority =
        cacert === undefined ? { 'certificate-authority-data': data } : { 'certificate-authority': resolve(cacert) };
      return { name, cluster: data === undefined && cacert === undefined ? rest : { ...rest, ...authority } };
    }),
    users: found.users.map(({ name, user }) => ({ name, user: { ...credentials, ...user } })),
  };
}

function merge(path: string, { apiVersion, kind, clusters, contexts, users, ...rest }: Kubeconfig): Promise<void> {
  const current = rest['current-context'];
  return mergeKubeconfig(path, {
    lists: { clusters, contexts, users },
    fields: { apiVersion, kind, ...(current === undefined ? {} : { 'current-context': current }) },
    mayReplace: isOurs,
  });
}

function isOurs(entry: unknown): boolean {
  return Object.values(entry as Readonly<Record<string, unknown>>).some((body) => {
    const { extensions } = (body ?? {}) as { readonly extensions?: unknown };
    return Array.isArray(extensions) && extensions.some((each: { readonly name?: unknown }) => each.name === mark);
  });
}
