/** The gateway that a command talks to: where it is, and who asks. */

import type { CommandIo } from '../command-line/command.js';
import { readFlag } from '../command-line/flags.js';
import { UsageError } from '../command-line/usage-error.js';
import { readCredentials } from './credentials.js';
import { defaultRest, gatewayFlags, type GatewayFlags } from './flags.js';
import type { OutputForm } from './output.js';
import { createRestClient, type RestClient } from './rest-client.js';

const restVariable = 'AGENT_GATEWAY_REST';
/** Beside the time that the gateway is asked to wait, in ms. */
const answerMs = 30_000;

export interface ClientSession {
  readonly client: RestClient;
  readonly form: OutputForm;
  readonly io: CommandIo;
  /** The command that goes on watching an operation. */
  readonly watchCommand: (id: string) => string;
}

/**
 * @param waitSeconds that the gateway is asked to wait before it answers
 * @throws UsageError that names the flag or variable
 */
export function openSession(flags: GatewayFlags, io: CommandIo, waitSeconds = 0): ClientSession {
  // An empty variable is none.
  const baseUrl = flags.rest ?? readFlag(restVariable, gatewayFlags.rest, io.environment[restVariable] || defaultRest);
  const credentials = readCredentials(flags, io.environment);
  if (!baseUrl.startsWith('https:'))
    for (const name of ['cacert', 'cert'] as const)
      if (flags[name] !== undefined) throw new UsageError(`--${name} needs an https URL; ${baseUrl} is without TLS`);
  const client = createRestClient({
    baseUrl,
    signal: io.signal,
    credentials,
    timeoutMs: waitSeconds * 1_000 + answerMs,
  });
  const suffix = flags.rest === undefined ? '' : ` --rest ${flags.rest}`;
  return { client, io, form: flags.output ?? 'table', watchCommand: (id) => `agent-gateway ops watch ${id}${suffix}` };
}
