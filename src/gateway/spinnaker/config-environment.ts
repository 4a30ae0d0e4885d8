/**
 * The accounts as a Spring Cloud Config Server answers: one property source, in which a list is properties with indexes.
 * Written piece by piece, because thousands of kubeconfigs are many megabytes.
 */

import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** What a Spring Cloud Config client asks for: its application, its profiles (with commas between them) and perhaps a label. */
export interface ConfigRequest {
  readonly application: string;
  readonly profiles: string;
  readonly label: string | undefined;
}

/** Any value of a Clouddriver account, as `POST /credentials` takes it. */
export type AccountOption =
  string | number | boolean | undefined | readonly AccountOption[] | { readonly [key: string]: AccountOption };

/** A Clouddriver account: `name`, `kubeconfigContents`, `namespaces`, `permissions` and so on. */
export type AccountOptions = { readonly name: string } & { readonly [key: string]: AccountOption };

/** Accounts that are processed before other requests have their turn. */
export const accountsPerTurn = 32;
const sourceName = 'agent-gateway';

/**
 * The body of the answer, as JSON: `{name, profiles, label, state, propertySources: [{name, source}], version}`. The version
 * comes last, because it is a digest of the properties.
 */
export async function* configEnvironment(
  { application, profiles, label }: ConfigRequest,
  accounts: Iterable<AccountOptions>,
): AsyncGenerator<string> {
  const head = { name: application, profiles: profiles.split(','), label: label?.replaceAll('(_)', '/') ?? null };
  const hash = createHash('sha256');
  yield `${JSON.stringify({ ...head, state: null }).slice(0, -1)},"propertySources":[{"name":"${sourceName}","source":{`;
  for await (const piece of properties(accounts)) {
    hash.update(piece);
    yield piece;
  }
  yield `}}],"version":"${hash.digest('hex')}"}`;
}

/** The version that configEnvironment() gives for these accounts. */
export async function configVersion(accounts: Iterable<AccountOptions>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of properties(accounts)) hash.update(piece);
  return hash.digest('hex');
}

async function* properties(accounts: Iterable<AccountOptions>): AsyncGenerator<string> {
  yield '"kubernetes.enabled":true';
  let index = 0;
  let waiting = '';
  for (const account of accounts) {
    for (const [key, value] of flatOptions(account, `kubernetes.accounts[${String(index)}].`))
      waiting += `,${JSON.stringify(key)}:${JSON.stringify(value)}`;
    index += 1;
    if (index % accountsPerTurn !== 0) continue;
    yield waiting;
    waiting = '';
    // Other requests have their turn, even if the reader of this one takes everything at once.
    await nextTurn();
  }
  yield waiting;
}

/** Spring's names of all values in it, after the prefix. An empty list has none, which Spring reads as no list. */
export function* flatOptions(options: AccountOptions, prefix = ''): Generator<FlatOption> {
  for (const [key, value] of Object.entries(options)) yield* flat(prefix + key, value);
}

type FlatOption = readonly [name: string, value: string | number | boolean];

function* flat(name: string, value: AccountOption): Generator<FlatOption> {
  if (value === undefined) return;
  if (typeof value !== 'object') yield [name, value];
  else if (isList(value)) for (const [index, item] of value.entries()) yield* flat(`${name}[${String(index)}]`, item);
  else for (const [key, item] of Object.entries(value)) yield* flat(`${name}.${key}`, item);
}

function isList(value: AccountOption): value is readonly AccountOption[] {
  return Array.isArray(value);
}
