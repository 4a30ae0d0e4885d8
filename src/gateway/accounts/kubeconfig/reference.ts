/**
 * References to kubeconfigs, in place of their text: `file:PATH`, `env:NAME`, and Kubernetes secrets as Spinnaker
 * writes them (https://spinnaker.io/docs/reference/halyard/secrets/): `encryptedFile:k8s!n:NAME!k:KEY!ns:NAMESPACE`.
 */

import { GatewayError } from '../../../core/errors.js';

export type Reference =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'k8s'; readonly name: string; readonly key: string; readonly namespace: string | undefined };

const spinnaker = /^encrypted(?:File)?:([^!:]*)!?(.*)$/su;

/**
 * @returns undefined for other texts: a kubeconfig itself, or a path on the agent's machine
 * @throws GatewayError `invalid-argument`, which does not quote the reference: engines may carry secrets in it
 */
export function parseReference(text: string): Reference | undefined {
  if (text.includes('\n')) return undefined;
  if (text.startsWith('file:')) return { kind: 'file', path: text.slice('file:'.length).replace(/^\/\/(?=\/)/u, '') };
  if (text.startsWith('env:')) return { kind: 'env', name: text.slice('env:'.length) };
  const match = spinnaker.exec(text);
  if (match === null) return undefined;
  const [, engine = '', rest = ''] = match;
  if (engine !== 'k8s') {
    throw invalid(`the secret engine ${/^[\w-]{1,20}$/u.test(engine) ? `"${engine}" ` : ''}is not supported; use k8s`);
  }
  const values = new Map(
    rest.split('!').map((part): [string, string] => {
      const colon = part.indexOf(':');
      return [part.slice(0, Math.max(0, colon)), part.slice(colon + 1)];
    }),
  );
  const [name = '', key = '', namespace] = ['n', 'k', 'ns'].map((parameter) => values.get(parameter));
  if (![name, key, namespace ?? 'x'].every((part) => /^[\w.-]{1,253}$/u.test(part))) {
    throw invalid('expected k8s!n:NAME!k:KEY!ns:NAMESPACE');
  }
  return { kind: 'k8s', name, key, namespace };
}

function invalid(message: string): GatewayError {
  return new GatewayError('invalid-argument', `reference to a kubeconfig: ${message}`);
}
