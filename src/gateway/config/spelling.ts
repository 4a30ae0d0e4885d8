/**
 * How keys may be spelled: Spring's relaxed binding, and `armory.kubesvc`, which Armory CD 2.40.3 made of `kubesvc`.
 */

import { aliases, unused } from './foreign.js';
import { leaves, sections } from './leaves.js';

/** The prefix of the plugin's options, and the other one for it. */
export const pluginSection = 'kubesvc';
export const otherPluginSection = 'armory.kubesvc';

/**
 * `kubesvc.grpc.server.security.client-auth`, `..._auth` and `...Auth` are one key to Spring: lower case, letters and
 * digits.
 */
export function uniform(key: string): string {
  return key.toLowerCase().replaceAll(/[-_]/gu, '');
}

const known: ReadonlyMap<string, string> = new Map(
  [...sections.keys(), ...unused.keys(), ...aliases.keys(), ...leaves.keys()].map((key) => [uniform(key), key]),
);

/** The key in its documented spelling; unchanged if there is no such key. */
export function canonical(key: string): string {
  const plain = isOtherSpelling(key) ? pluginSection + key.slice(otherPluginSection.length) : key;
  return known.get(uniform(plain)) ?? plain;
}

/** Whether a key is below `armory.kubesvc`. */
export function isOtherSpelling(key: string): boolean {
  const same = uniform(key);
  return same === otherPluginSection || same.startsWith(`${otherPluginSection}.`);
}

/** Whether a map under this key is a value, not a section. */
export function isLeaf(key: string): boolean {
  return leaves.has(canonical(key));
}
