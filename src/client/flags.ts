/** Flags of every command that talks to a running gateway. */

import { choice, file, text, toggle, url, type FlagValues } from '../command-line/flags.js';
import { outputForms } from './output.js';

export const defaultRest = 'http://127.0.0.1:7002';

export const help = toggle('print this help', 'h');

export const gatewayFlags = {
  output: choice(outputForms, { short: 'o', value: 'FORM', help: 'table, json or yaml (default table)' }),
  rest: url({
    help: `base URL of any replica, including the path of a proxy (default $AGENT_GATEWAY_REST, or ${defaultRest})`,
  }),
  'token-file': file({
    help: 'file with a bearer token (default $AGENT_GATEWAY_TOKEN_FILE, or the token itself in $AGENT_GATEWAY_TOKEN)',
  }),
  cacert: file({ help: "PEM file with the CAs to verify the gateway's certificate" }),
  cert: file({ help: 'PEM file with the client certificate' }),
  key: file({ help: 'PEM file with its private key' }),
  help,
};

export type GatewayFlags = FlagValues<typeof gatewayFlags>;

export const accountFlag = text('the name of an account', {
  short: 'a',
  value: 'NAME',
  completes: 'accounts',
  help: 'the account',
});

/** The longest that a command waits, in seconds. */
export const maxSeconds = 3_600;
