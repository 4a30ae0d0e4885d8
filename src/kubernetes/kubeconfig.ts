/**
 * Reads a kubeconfig whose user is described in it: certificates, a token, a password. For the ways to authenticate that
 * run something (exec, auth-provider) there is the client library, which takes 80 MB of memory once it is loaded.
 */

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Agent, ProxyAgent } from 'undici';
import { readManifests, YamlError } from '../documents/yaml.js';
import type { ApiAccess } from './access.js';

/** Below the time after which load balancers forget a silent connection. */
export const keepAlive = { keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };

export interface KubeconfigOptions {
  /** Default: its `current-context`. */
  readonly context?: string | undefined;
  readonly verifySsl: boolean;
  /** Files that it names are relative to here. */
  readonly directory: string;
  /** Whether its `proxy-url` counts. */
  readonly proxy: boolean;
}

type Section = Readonly<Record<string, unknown>>;

/**
 * @returns undefined when its user authenticates by a plugin
 * @throws Error in words, without anything of the file's content but names
 */
export async function readKubeconfig(text: string, options: KubeconfigOptions): Promise<ApiAccess | undefined> {
  const config = section(parseYaml(text));
  const contextName = options.context ?? string(config['current-context']);
  if (contextName === undefined) throw new Error('it has no current context');
  const context = named(config['contexts'], contextName, 'context');
  const cluster = named(config['clusters'], string(context['cluster']) ?? '', 'cluster');
  const user = context['user'] === undefined ? {} : named(config['users'], string(context['user']) ?? '', 'user');
  if (user['exec'] !== undefined || user['auth-provider'] !== undefined) return undefined;

  const server = string(cluster['server']);
  if (server === undefined) throw new Error(`cluster "${string(context['cluster']) ?? ''}" has no server`);
  const material = (from: Section, key: string) => dataOrFile(from, key, options.directory);
  const [ca, cert, key, token] = await Promise.all([
    material(cluster, 'certificate-authority'),
    material(user, 'client-certificate'),
    material(user, 'client-key'),
    tokenOf(user, options.directory),
  ]);
  const servername = string(cluster['tls-server-name']);
  const tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    rejectUnauthorized: options.verifySsl && cluster['insecure-skip-tls-verify'] !== true,
  };
  const proxy = options.proxy ? string(cluster['proxy-url']) : undefined;
  return {
    server,
    headers: headersOf(user, token),
    dispatcher:
      proxy === undefined
        ? new Agent({ connect: { ...keepAlive, ...tls } })
        : new ProxyAgent({ uri: proxy, requestTls: tls }),
    namespace: string(context['namespace']),
    ca,
  };
}

function headersOf(user: Section, token: string | undefined): Record<string, string> {
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  const [name, password] = [string(user['username']), string(user['password'])];
  if (name === undefined || password === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}

/** The file wins over the text, as in client-go. */
async function tokenOf(user: Section, directory: string): Promise<string | undefined> {
  const file = string(user['tokenFile']);
  if (file === undefined) return string(user['token']);
  return (await readFile(resolve(directory, file), 'utf8')).trim();
}

async function dataOrFile(from: Section, key: string, directory: string): Promise<Buffer | undefined> {
  const data = string(from[`${key}-data`]);
  if (data !== undefined) return Buffer.from(data, 'base64');
  const file = string(from[key]);
  return file === undefined ? undefined : readFile(resolve(directory, file));
}

/** The content of one of the lists `[{name, [kind]: {...}}]`. */
function named(list: unknown, name: string, kind: 'context' | 'cluster' | 'user'): Section {
  const entries = Array.isArray(list) ? list.map(section) : [];
  const entry = entries.find((one) => one['name'] === name);
  if (entry === undefined) throw new Error(`it has no ${kind} "${name}"`);
  return section(entry[kind]);
}

function parseYaml(text: string): unknown {
  try {
    return readManifests(text)[0];
  } catch (error) {
    throw error instanceof YamlError ? new Error(`it is not YAML: ${error.message}`) : error;
  }
}

function section(value: unknown): Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Section) : {};
}

function string(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The directory that relative files of a kubeconfig file count from. */
export function directoryOf(file: string): string {
  return dirname(resolve(file));
}
