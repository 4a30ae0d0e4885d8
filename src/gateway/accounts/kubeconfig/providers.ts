/**
 * The sources of referenced kubeconfigs. API callers choose the reference, so a provider reads only from places
 * meant for it: one directory, variables with one prefix, Secrets that Kubernetes lets the gateway read.
 */

import { readFile, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import { GatewayError } from '../../../core/errors.js';
import type { Reference } from './reference.js';

export interface KubeconfigProvider<Kind extends Reference['kind'] = Reference['kind']> {
  /** @throws GatewayError that says what is missing and quotes no content */
  read(reference: Extract<Reference, { kind: Kind }>, signal: AbortSignal): Promise<string>;
}

export type KubeconfigProviders = { readonly [Kind in Reference['kind']]: KubeconfigProvider<Kind> };

/** Well above any kubeconfig; etcd accepts objects of 1.5 MB. */
export const maximumKubeconfigBytes = 1 << 20;
const variablePrefix = 'KUBECONFIG_';

/** @param directory undefined: no file may be read */
export function fileProvider(directory: string | undefined): KubeconfigProvider<'file'> {
  return {
    read: async ({ path }, signal) => {
      if (directory === undefined) throw missing('kubesvc.dynamicAccounts.kubeconfigDirectory is not set');
      const failed = missing(`no readable file of this name below kubesvc.dynamicAccounts.kubeconfigDirectory`);
      try {
        const root = await realpath(directory);
        // Links are followed first: Kubernetes mounts secrets as links inside their directory.
        const file = await realpath(resolve(root, path));
        const inside = relative(root, file);
        if (inside === '' || inside.startsWith('..') || isAbsolute(inside)) throw failed;
        if ((await stat(file)).size > maximumKubeconfigBytes) throw failed;
        return await readFile(file, { encoding: 'utf8', signal });
      } catch {
        throw failed;
      }
    },
  };
}

export function environmentProvider(
  environment: Readonly<Record<string, string | undefined>>,
): KubeconfigProvider<'env'> {
  return {
    read: ({ name }) => {
      const value = name.startsWith(variablePrefix) ? environment[name] : undefined;
      return value === undefined
        ? Promise.reject(missing(`no environment variable of this name; it must begin with ${variablePrefix}`))
        : Promise.resolve(value);
    },
  };
}

/** Reads one key of a Kubernetes secret, decoded. @param namespace undefined: the gateway's own */
export type ReadSecret = (
  secret: { readonly name: string; readonly key: string; readonly namespace: string | undefined },
  signal: AbortSignal,
) => Promise<string>;

export function kubernetesProvider(readSecret: ReadSecret): KubeconfigProvider<'k8s'> {
  return { read: ({ name, key, namespace }, signal) => readSecret({ name, key, namespace }, signal) };
}

function missing(message: string): GatewayError {
  return new GatewayError('configuration', message);
}
