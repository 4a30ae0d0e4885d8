/** Fields of a kubeconfig: each of the type that client-go decodes, or refused by its name. No message quotes a value. */

import { resolve } from 'node:path';
import { TellableError } from '../core/errors.js';
import { isJsonObject } from '../documents/exact-json.js';

/** Text in the kubeconfig itself, or the path of a file. */
export interface Material {
  readonly data?: Buffer;
  readonly file?: string;
}

export class Fields {
  readonly path: string;
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #directory: string;

  /**
   * @param path how errors name it; '' is the whole
   * @param directory what relative paths count from
   * @throws Error when it is no section
   */
  constructor(value: unknown, path: string, directory: string) {
    if (value !== null && !isJsonObject(value)) throw new TellableError(`${path || 'it'}: expected a section`);
    this.#value = { ...value };
    this.path = path;
    this.#directory = directory;
  }

  wrong(key: string, message: string): Error {
    return new TellableError(`${this.#below(key)}: ${message}`);
  }

  #below(key: string): string {
    return this.path === '' ? key : `${this.path}.${key}`;
  }

  /** Empty text counts as none, as in client-go. */
  text(key: string): string | undefined {
    const value = this.#value[key] ?? '';
    if (typeof value !== 'string') throw this.wrong(key, 'expected text; numbers need quotes');
    return value === '' ? undefined : value;
  }

  flag(key: string): boolean {
    const value = this.#value[key] ?? false;
    if (typeof value !== 'boolean') throw this.wrong(key, 'expected true or false');
    return value;
  }

  list(key: string): readonly string[] {
    const value = this.#value[key] ?? [];
    if (Array.isArray(value) && value.every((one): one is string => typeof one === 'string')) return value;
    throw this.wrong(key, 'expected a list of texts');
  }

  /** A section of lists. */
  lists(key: string): ReadonlyMap<string, readonly string[]> {
    const section = this.section(key) ?? new Fields({}, key, this.#directory);
    return new Map(Object.keys(section.#value).map((name) => [name, section.list(name)]));
  }

  section(key: string): Fields | undefined {
    const value = this.#value[key] ?? undefined;
    return value === undefined ? undefined : new Fields(value, this.#below(key), this.#directory);
  }

  sections(key: string): readonly Fields[] {
    const value = this.#value[key] ?? [];
    if (!Array.isArray(value)) throw this.wrong(key, 'expected a list');
    return value.map((one, index) => new Fields(one ?? {}, `${this.#below(key)}[${String(index)}]`, this.#directory));
  }

  file(key: string): string | undefined {
    const file = this.text(key);
    return file === undefined ? undefined : resolve(this.#directory, file);
  }

  /** A program: looked for in PATH unless it has a slash. */
  command(key: string): string | undefined {
    const command = this.text(key);
    return command?.includes('/') === true ? resolve(this.#directory, command) : command;
  }

  /** `KEY-data` in base64, or the file that `KEY` names. */
  material(key: string): Material {
    const [data, file] = [this.text(`${key}-data`), this.file(key)];
    if (data !== undefined && file !== undefined)
      throw this.wrong(key, `expected either this or ${key}-data, found both`);
    if (data === undefined) return file === undefined ? {} : { file };
    if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/u.test(data)) throw this.wrong(`${key}-data`, 'expected base64');
    return { data: Buffer.from(data, 'base64') };
  }

  /** What `extensions` has for a program. */
  extension(name: string): unknown {
    const [found] = this.sections('extensions').filter((one) => one.text('name') === name);
    return found === undefined ? undefined : found.#value['extension'];
  }

  /** Refuses keys that somebody wrote to restrict what the user may do, and that say nothing in this spelling. */
  refuseLookAlikes(pattern: RegExp, known: readonly string[]): void {
    for (const key of Object.keys(this.#value)) {
      if (pattern.test(key) && !known.includes(key))
        throw this.wrong(key, `no such field; known fields: ${known.join(', ')}`);
    }
  }
}

/** The content of one of the lists `[{name, [kind]: {...}}]`. @throws Error when it is not there, or there twice */
export function lookUp(config: Fields, kind: 'context' | 'cluster' | 'user', name: string): Fields {
  const [entry, second] = config.sections(`${kind}s`).filter((one) => one.text('name') === name);
  if (entry === undefined) throw new TellableError(`it has no ${kind} "${name}"`);
  if (second !== undefined) throw new TellableError(`it has two of ${kind} "${name}"`);
  return entry.section(kind) ?? new Fields({}, `${entry.path}.${kind}`, '/');
}
