/** Reads Kubernetes Secrets, with the credentials of discovery. */

import { withDeadline } from '../../core/deadline.js';
import { GatewayError } from '../../core/errors.js';
import { ApiClient, ApiError } from '../../kubernetes/client.js';
import { openAccess, type CredentialOptions } from '../../kubernetes/credentials.js';

export interface SecretReference {
  readonly name: string;
  readonly key: string;
  /** Undefined: the namespace of the credentials. */
  readonly namespace: string | undefined;
}

const timeoutMs = 5_000;

/**
 * @returns the value of the key, decoded
 * @throws GatewayError `configuration` without credentials, permission, secret or key; `dependency-unavailable`
 */
export async function readSecret(
  credentials: CredentialOptions,
  { name, key, namespace }: SecretReference,
  signal: AbortSignal,
): Promise<string> {
  const access = await withDeadline(timeoutMs, signal, 'to get the credentials', (limit) =>
    openAccess(credentials, limit),
  );
  try {
    const path = `/api/v1/namespaces/${namespace ?? access.namespace ?? 'default'}/secrets/${name}`;
    const secret = (await new ApiClient(access, timeoutMs).get(path, {}, signal)) as { data?: Record<string, string> };
    const value = secret.data?.[key];
    if (value === undefined) throw new GatewayError('configuration', `secret "${name}" has no key "${key}"`);
    return Buffer.from(value, 'base64').toString('utf8');
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    if (error instanceof ApiError) throw new GatewayError('configuration', error.message, { cause: error });
    throw new GatewayError('dependency-unavailable', 'the Kubernetes API does not answer', { cause: error });
  } finally {
    await access.dispatcher.destroy();
  }
}
