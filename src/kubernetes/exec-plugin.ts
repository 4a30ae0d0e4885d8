/**
 * Credential plugins, as client-go runs them (plugin/pkg/client/auth/exec): once until the credential expires or the API
 * server refuses it, with KUBERNETES_EXEC_INFO, and without a terminal.
 */

import type { Environment } from '../core/environment.js';
import { TellableError } from '../core/errors.js';
import { ProgramError, runProgram } from '../core/program.js';
import { parseJson, stringifyJson } from '../documents/exact-json.js';
import type { ExecSettings } from './kubeconfig.js';

/** What a plugin or another provider gave. */
export interface PluginCredential {
  readonly token: string | undefined;
  /** PEM. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Unix ms; absent: until it is refused. */
  readonly expiresAt: number | undefined;
}

export interface PluginCall {
  readonly settings: ExecSettings;
  /** `spec.cluster` of KUBERNETES_EXEC_INFO; absent unless the kubeconfig asks for it. */
  readonly cluster: object | undefined;
  /** Of this process; the plugin's own variables are added. */
  readonly environment: Environment;
}

/** @throws Error in words, with nothing of what the plugin printed; the signal's reason */
export async function runPlugin(
  { settings, cluster, environment }: PluginCall,
  signal: AbortSignal,
): Promise<PluginCredential> {
  const { apiVersion, command, args, env, installHint } = settings;
  const spec = { ...(cluster === undefined ? {} : { cluster }), interactive: false };
  const info = stringifyJson({ kind: 'ExecCredential', apiVersion, spec });
  const program = { command, args, environment: { ...environment, ...env, KUBERNETES_EXEC_INFO: info } };
  try {
    return credentialOf((await runProgram(program, signal)).toString('utf8'), settings);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const hint = error.missing && installHint !== undefined ? `; its kubeconfig says: ${firstLine(installHint)}` : '';
    throw new TellableError(`the credential plugin ${error.message}${hint}`, { cause: error });
  }
}

function credentialOf(text: string, { command, apiVersion }: ExecSettings): PluginCredential {
  const wrong = (what: string): Error => new TellableError(`the credential plugin "${command}" ${what}`);
  let printed: { kind?: unknown; apiVersion?: unknown; status?: Record<string, unknown> | null } | null;
  try {
    printed = parseJson(text) as typeof printed;
  } catch {
    // The parser's message would quote it.
    throw wrong('did not print an ExecCredential as JSON');
  }
  if (printed?.kind !== 'ExecCredential' || printed.apiVersion !== apiVersion) {
    throw wrong(`did not print an ExecCredential of ${apiVersion}, as its kubeconfig requires`);
  }
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = printed.status ?? {};
  const [bearer, cert, key, expires] = [token, clientCertificateData, clientKeyData, expirationTimestamp].map((one) => {
    if (one !== undefined && one !== null && typeof one !== 'string') throw wrong('gave a status that is not text');
    return one ? one : undefined;
  });
  if ((cert === undefined) !== (key === undefined)) throw wrong('gave only one of certificate and key');
  if (bearer === undefined && cert === undefined) throw wrong('gave neither a token nor a certificate');
  const expiresAt = expires === undefined ? undefined : Date.parse(expires);
  if (Number.isNaN(expiresAt)) throw wrong('gave an expirationTimestamp that is not a time (RFC 3339)');
  return { token: bearer, cert, key, expiresAt };
}

function firstLine(text: string): string {
  return text.trim().split('\n', 1)[0] ?? '';
}
