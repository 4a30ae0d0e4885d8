/** YAML of configuration files, with the line of each key. */

import { readSettings, YamlError, type Settings } from '../documents/yaml.js';
import { configurationError } from './problems.js';

export type YamlSection = Readonly<Record<string, unknown>>;

export interface YamlSettings {
  readonly content: YamlSection;
  /** The line of a key, `kubernetes.accounts[0].name`, or of the nearest that it stands in; as `agent.yml:12`. */
  readonly place: (key: string) => string;
}

/**
 * Reads settings: one document with a map at the top; an empty one has none.
 * @param name what problems call the file
 * @throws GatewayError `configuration` when it is not that, with line and column
 */
export function parseSettings(source: string, name: string): YamlSettings {
  const { value, lines } = settingsOf(source, name);
  const content = value ?? {};
  if (!isSection(content))
    throw configurationError([{ key: name, message: 'expected a map of sections at the top level' }]);
  refuseManifest(content, name);
  return {
    content,
    place: (key) => {
      for (let near = key; near !== ''; near = parentOf(near)) {
        const line = lines.get(near);
        if (line !== undefined) return `${name}:${String(line)}`;
      }
      return name;
    },
  };
}

export function isSection(value: unknown): value is YamlSection {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A dotted key from its section and its name. */
export function join(key: string, name: string): string {
  return key === '' ? name : `${key}.${name}`;
}

function settingsOf(source: string, name: string): Settings {
  try {
    return readSettings(source);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    const { line, column, problem } = error;
    throw configurationError([{ key: `${name}:${String(line)}:${String(column)}`, message: problem }]);
  }
}

/** Samples in documentation are often whole objects of Kubernetes with the file inside. */
function refuseManifest({ apiVersion, kind }: YamlSection, name: string): void {
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return;
  const shown = /^\w{1,60}$/u.test(kind) ? ` (kind: ${kind})` : '';
  const message = `this is a Kubernetes object${shown}; give only the configuration file inside it`;
  throw configurationError([{ key: name, message }]);
}

function parentOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('.'), key.lastIndexOf('[')));
}
