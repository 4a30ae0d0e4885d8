/** Settings from a YAML file, each with its line. */

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { configurationError, type Entry } from '../../configuration/problems.js';
import { isSection, join, parseSettings, type YamlSection } from '../../configuration/yaml.js';
import { messageOf } from '../../core/errors.js';

/**
 * Reads a file into entries, keys dotted. A key may itself be dotted (`kubesvc.cluster: redis`), as Spring allows.
 * @param isLeaf whether a map under this key is a value, not a section
 * @throws GatewayError `configuration` when the file cannot be read or is not YAML, with line and column
 */
export function readYaml(file: string, isLeaf: (key: string) => boolean): Entry[] {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    throw configurationError([{ key: '--config', message: `the file cannot be read: ${messageOf(error)}` }]);
  }
  return parseYaml(source, basename(file), isLeaf);
}

/** As readYaml, from text; `name` is what problems call the file. */
export function parseYaml(source: string, name: string, isLeaf: (key: string) => boolean): Entry[] {
  const { content, place } = parseSettings(source, name);
  const entries: Entry[] = [];
  flatten(content, '', isLeaf, (key, value) => {
    entries.push({ key, value, origin: { kind: 'file', text: place(key) } });
  });
  return entries;
}

function flatten(
  section: YamlSection,
  prefix: string,
  isLeaf: (key: string) => boolean,
  add: (key: string, value: unknown) => void,
): void {
  for (const [name, value] of Object.entries(section)) {
    const key = join(prefix, name);
    if (isSection(value) && !isLeaf(key)) flatten(value, key, isLeaf, add);
    else add(key, value);
  }
}
