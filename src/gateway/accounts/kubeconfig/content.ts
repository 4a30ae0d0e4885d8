/** The text of a kubeconfig: whether it is valid, and which parts must never be repeated. */

import { GatewayError } from '../../../core/errors.js';
import { readManifests } from '../../../documents/yaml.js';
import { holdsSecretReference } from '../../../core/secret-reference.js';

export interface KubeconfigContent {
  readonly text: string;
  /** Replaces its secrets in a text for people. */
  readonly redact: (text: string) => string;
}

/** Shorter texts would cut words out of messages, and are not secrets. */
const shortestSecret = 6;

/**
 * @param text YAML or JSON, or base64 of that
 * @throws GatewayError `invalid-argument`, which does not quote it
 */
export function readKubeconfig(text: string): KubeconfigContent {
  const plain = /^[A-Za-z0-9+/=\s]+$/u.test(text) ? Buffer.from(text, 'base64').toString('utf8') : text;
  let parsed: unknown;
  try {
    [parsed] = readManifests(plain);
  } catch {
    throw noKubeconfig();
  }
  const { clusters, users } = typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  if (!Array.isArray(clusters) || clusters.length === 0) throw noKubeconfig();
  if (holdsSecretReference(plain)) {
    const message = 'the kubeconfig contains a secret engine reference (encrypted:...); write the value itself';
    throw new GatewayError('invalid-argument', message);
  }
  const secrets = [...new Set([...scalars(users), plain, text])].filter((each) => each.length >= shortestSecret);
  // Longest first: one secret may be part of another.
  secrets.sort((a, b) => b.length - a.length);
  return {
    text: plain,
    redact: (message) => secrets.reduce((redacted, secret) => redacted.replaceAll(secret, '***'), message),
  };
}

/** Every text below `users`, and its base64-decoded form: tokens, passwords, keys, arguments of credential plugins. */
function* scalars(node: unknown, depth = 0): Generator<string> {
  if (typeof node === 'string') {
    yield node;
    if (/^[A-Za-z0-9+/]{16,}=*$/u.test(node)) yield* Buffer.from(node, 'base64').toString('utf8').split('\n');
  } else if (typeof node === 'object' && node !== null && depth < 20) {
    for (const child of Object.values(node)) yield* scalars(child, depth + 1);
  }
}

function noKubeconfig(): GatewayError {
  return new GatewayError('invalid-argument', 'expected a kubeconfig: YAML with clusters, or base64 of it');
}
