/**
 * TLS and token of each dial, by the configuration: files are read anew, so that certificates and tokens may change.
 */

import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { credentials as grpcCredentials, type ChannelCredentials } from '@grpc/grpc-js';
import { withDeadline } from '../core/deadline.js';
import type { Environment } from '../core/environment.js';
import { GatewayError, messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { ProgramError, runProgram } from '../core/program.js';
import { repeat } from '../core/repeat.js';
import type { AgentConfiguration } from './configuration/schema.js';
import type { DialSecurity } from './gateway-stream.js';

const commandTimeoutMs = 30_000;
const shortestRefreshMs = 30_000;

type Clouddriver = Pick<AgentConfiguration['clouddriver'], 'insecure' | 'tls' | 'auth'>;

export class GatewaySecurity {
  readonly #clouddriver: Clouddriver;
  readonly #logger: Logger;
  readonly #environment: Environment;
  /** The last output of the token command. */
  #printed: string | undefined;

  constructor(clouddriver: Clouddriver, logger: Logger, environment: Environment) {
    this.#clouddriver = clouddriver;
    this.#logger = logger;
    this.#environment = environment;
  }

  /** Reads everything once. @throws GatewayError `configuration` naming the setting that cannot be used */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#clouddriver.auth.tokenCommand.command !== undefined) await this.#runCommand(signal);
    this.security();
  }

  /** Runs the token command again and again, if there is one; until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { command, refreshIntervalSeconds } = this.#clouddriver.auth.tokenCommand;
    if (command === undefined) return;
    const pauseMs = Math.max(shortestRefreshMs, refreshIntervalSeconds * 1_000);
    const failed = (error: unknown): void =>
      this.#logger.error({ error: messageOf(error) }, 'token command failed; keeping the old token');
    await repeat({ pauseMs: () => pauseMs, failed }, signal, () => this.#runCommand(signal));
  }

  /** @throws GatewayError `configuration` naming the setting */
  security(): DialSecurity {
    const { insecure, tls } = this.#clouddriver;
    const token = this.#token();
    return {
      credentials: insecure ? grpcCredentials.createInsecure() : tlsCredentials(tls),
      serverName: insecure ? undefined : tls.serverName,
      authorization: token === undefined ? undefined : `Bearer ${token}`,
    };
  }

  #token(): string | undefined {
    const { token, tokenFile, tokenCommand } = this.#clouddriver.auth;
    if (tokenFile !== undefined) return file(tokenFile, 'clouddriver.auth.tokenFile').toString('utf8').trim();
    return tokenCommand.command === undefined ? token : this.#printed;
  }

  async #runCommand(signal: AbortSignal): Promise<void> {
    const { command = '', args, format } = this.#clouddriver.auth.tokenCommand;
    try {
      const program = { command, args, environment: this.#environment };
      const printed = await withDeadline(commandTimeoutMs, signal, `"${command}"`, (limit) =>
        runProgram(program, limit),
      );
      this.#printed = tokenOf(printed.toString('utf8').trim(), format);
    } catch (error) {
      signal.throwIfAborted();
      // Its output may be half a token.
      const told = error instanceof ProgramError || error instanceof GatewayError ? error.message : `"${command}"`;
      throw wrong('clouddriver.auth.tokenCommand', `${told}: it printed no token`, error);
    }
  }
}

function tlsCredentials(tls: Clouddriver['tls']): ChannelCredentials {
  const { cacertFile, clientCertFile, clientKeyFile, clientKeyFilePassword, insecureSkipVerify } = tls;
  const read = (path: string | undefined, key: string) =>
    path === undefined ? undefined : file(path, `clouddriver.tls.${key}`);
  const [ca, cert, key] = [
    read(cacertFile, 'cacertFile'),
    read(clientCertFile, 'clientCertFile'),
    clientKeyFile === undefined ? keyIn(clientCertFile) : read(clientKeyFile, 'clientKeyFile'),
  ];
  try {
    const context = createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(clientKeyFilePassword === undefined ? {} : { passphrase: clientKeyFilePassword }),
      minVersion: 'TLSv1.2',
    });
    return grpcCredentials.createFromSecureContext(context, { rejectUnauthorized: !insecureSkipVerify });
  } catch (error) {
    throw wrong('clouddriver.tls', `certificate and key cannot be used: ${messageOf(error)}`, error);
  }
}

/** Of a PEM file with the certificate and its key. */
function keyIn(path: string | undefined): Buffer | undefined {
  if (path === undefined) return undefined;
  const pem = file(path, 'clouddriver.tls.clientCertFile');
  if (pem.includes('PRIVATE KEY-----')) return pem;
  throw wrong(
    'clouddriver.tls.clientKeyFile',
    `expected a PEM file with a private key, found none in ${path}`,
    undefined,
  );
}

function file(path: string, key: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw wrong(key, `${path} cannot be read: ${messageOf(error)}`, error);
  }
}

/** The text itself, or the token of JSON: of an ExecCredential (client.authentication.k8s.io), or `{"token": ...}`. */
function tokenOf(text: string, format: Clouddriver['auth']['tokenCommand']['format']): string {
  if (format === 'raw' || (format === '' && !text.startsWith('{'))) return text;
  const { status, token } = JSON.parse(text) as { status?: { token?: string }; token?: string };
  const found = status?.token ?? token;
  if (found === undefined) throw new Error('no token in the JSON');
  return found;
}

function wrong(key: string, message: string, cause: unknown): GatewayError {
  return new GatewayError('configuration', `${key}: ${message}`, { field: key, cause });
}
