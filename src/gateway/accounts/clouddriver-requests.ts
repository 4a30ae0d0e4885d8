/** Requests to a Clouddriver: its credentials, deadlines, and failures in words without a secret. */

import { readFile } from 'node:fs/promises';
import { Agent, type Dispatcher } from 'undici';
import { isUnexpected, reasonFor } from '../../core/connection-failure.js';
import { GatewayError } from '../../core/errors.js';
import { unlessFenced } from './fenced-request.js';

export interface ClouddriverAddress {
  /** May have a user and password, which no message repeats. */
  readonly url: string;
  /** The setting that has the URL: messages begin with it. */
  readonly field: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Bearer token, instead of user and password. */
  readonly token?: string | undefined;
  /** Who asks, for Clouddriver's permissions: X-SPINNAKER-USER. */
  readonly spinnakerUser?: string | undefined;
  readonly userAgent?: string | undefined;
  /** PEM files, read at the start of each use of connections. */
  readonly ssl?: ClouddriverTls | undefined;
}

export interface ClouddriverTls {
  readonly verify: boolean;
  readonly trustCertCollection?: string | undefined;
  readonly certificateChain?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly privateKeyPassword?: string | undefined;
}

export interface ClouddriverRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With the query. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Asked when the connection is there and the request is about to be written; false: it is not. */
  readonly mayWrite?: () => boolean;
}

export interface ClouddriverAnswer {
  readonly status: number;
  readonly text: string;
}

const timeoutMs = 30_000;
/** 10,000 accounts with their kubeconfigs are 50 MB. */
const longestAnswerBytes = 256 << 20;

/** Connections to one Clouddriver, until close(). */
export class ClouddriverRequests {
  readonly #address: ClouddriverAddress;
  readonly #dispatcher: Dispatcher & { readonly close: () => Promise<void> };

  private constructor(address: ClouddriverAddress, dispatcher: Agent) {
    this.#address = address;
    this.#dispatcher = dispatcher;
  }

  /** @throws GatewayError `configuration` if a file cannot be read */
  static async open(address: ClouddriverAddress): Promise<ClouddriverRequests> {
    const files: ClouddriverTls = address.ssl ?? { verify: true };
    const read = async (file: string | undefined, name: string): Promise<string | undefined> => {
      if (file === undefined) return undefined;
      return readFile(file, 'utf8').catch((error: unknown) => {
        const field = `${address.field.replace(/url$/u, '')}ssl.${name}`;
        throw new GatewayError('configuration', `${field}: ${file} cannot be read`, { field, cause: error });
      });
    };
    const { privateKeyPassword: passphrase } = files;
    const ca = await read(files.trustCertCollection, 'trustCertCollection');
    const cert = await read(files.certificateChain, 'certificateChain');
    const key = await read(files.privateKey, 'privateKey');
    const connect = {
      timeout: 10_000,
      rejectUnauthorized: files.verify,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(passphrase === undefined ? {} : { passphrase }),
    };
    const agent = new Agent({ connect, connections: 8, maxResponseSize: longestAnswerBytes });
    return new ClouddriverRequests(address, agent);
  }

  /**
   * @returns the answer, whatever its status
   * @throws GatewayError `dependency-unavailable`: there is none; `cancelled`: `mayWrite` forbade it
   */
  async send(
    { method = 'GET', path, body, mayWrite = () => true }: ClouddriverRequest,
    signal: AbortSignal,
  ): Promise<ClouddriverAnswer> {
    const { url, field } = this.#address;
    try {
      const target = new URL(url.replace(/\/+$/u, '') + path);
      const json = body === undefined ? undefined : JSON.stringify(body);
      return await unlessFenced(
        this.#dispatcher,
        {
          origin: target.origin,
          path: target.pathname + target.search,
          method,
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
          headers: { ...this.#headers(), ...(json === undefined ? {} : { 'content-type': 'application/json' }) },
          ...(json === undefined ? {} : { body: json }),
        },
        mayWrite,
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof GatewayError || isUnexpected(error)) throw error;
      throw unavailable(field, reasonFor(error), error);
    }
  }

  /** @returns the value of a JSON answer; undefined for 404 @throws GatewayError `dependency-unavailable` */
  async get(path: string, signal: AbortSignal): Promise<unknown> {
    const { field } = this.#address;
    const { status, text } = await this.send({ path }, signal);
    if (status === 404) return undefined;
    if (status !== 200) throw unavailable(field, `it answered ${String(status)}`);
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw unavailable(field, 'its answer is not JSON', error);
    }
  }

  /** Requests under way end first. */
  close(): Promise<void> {
    return this.#dispatcher.close();
  }

  #headers(): Record<string, string> {
    const { url, token, spinnakerUser, userAgent } = this.#address;
    const { username, password } = new URL(url);
    const user = this.#address.user ?? decodeURIComponent(username);
    const secret = this.#address.password ?? decodeURIComponent(password);
    const basic = user === '' ? undefined : `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;
    const authorization = token === undefined ? basic : `Bearer ${token}`;
    return {
      accept: 'application/json',
      ...(authorization === undefined ? {} : { authorization }),
      ...(spinnakerUser === undefined ? {} : { 'x-spinnaker-user': spinnakerUser }),
      ...(userAgent === undefined ? {} : { 'user-agent': userAgent }),
    };
  }
}

function unavailable(field: string, reason: string, cause?: unknown): GatewayError {
  return new GatewayError('dependency-unavailable', `${field}: ${reason}`, { field, cause });
}
