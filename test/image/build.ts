/**
 * Does what a Dockerfile says, without containers: each stage is a directory, FROM an empty one, COPY copies (from the
 * context only what .dockerignore lets through), RUN runs a command in the working directory. Knows what ours uses.
 */

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';

const run = promisify(execFile);

export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

export interface Image {
  /** The root directory of the last stage. */
  readonly root: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly labels: ReadonlySet<string>;
}

/** Instructions, with continued lines joined and comments left out. */
export function parseDockerfile(text: string): Instruction[] {
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n');
  return lines.flatMap((line) => {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return name === '' ? [] : [{ name, rest: rest.trim() }];
  });
}

/** The names that .dockerignore lets into the context; it has to begin by leaving everything out. */
export function contextNames(dockerignore: string): string[] {
  const [first, ...others] = dockerignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (first !== '*' || others.some((line) => !line.startsWith('!'))) throw new Error('not a list of exceptions');
  return others.map((line) => line.slice(1));
}

/**
 * In place of `npm ci`, which this project's own installation has just done from the same lockfile, and which takes half a
 * minute: links to its files, and a copy of the one that npm changes in place.
 */
function installed(project: string): string {
  const modules = join(project, 'node_modules');
  return `{ cp -al '${modules}' . || cp -a '${modules}' .; } && cp --remove-destination '${modules}/.package-lock.json' node_modules/`;
}

export async function buildImage(t: Test, project: string): Promise<Image> {
  const instructions = parseDockerfile(await readFile(join(project, 'Dockerfile'), 'utf8'));
  const context = new Set(contextNames(await readFile(join(project, '.dockerignore'), 'utf8')));
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-image-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const stages = new Map<string, string>();
  const labels = new Set<string>();
  let root = '';
  let workingDirectory = '/';
  let user = 'root';
  let entrypoint: readonly string[] = [];
  let command: readonly string[] = [];
  for (const { name, rest } of instructions) {
    const words = rest.split(/\s+/);
    switch (name) {
      case 'FROM':
        root = join(directory, String(stages.size));
        stages.set(words[2] ?? 'last', root);
        await mkdir(root);
        break;
      case 'WORKDIR':
        workingDirectory = rest;
        await mkdir(join(root, workingDirectory), { recursive: true });
        break;
      case 'COPY': {
        const stage = /^--from=(.*)$/.exec(words[0] ?? '')?.[1];
        const sources = words.slice(stage === undefined ? 0 : 1, -1);
        const to = join(root, workingDirectory, words.at(-1) ?? '');
        for (const source of sources) {
          if (stage === undefined && !context.has(source)) throw new Error(`.dockerignore leaves ${source} out`);
          const from = stage === undefined ? join(project, source) : join(stages.get(stage) ?? '', source);
          await cp(from, to.endsWith('/') ? join(to, basename(source)) : to, { recursive: true });
        }
        break;
      }
      case 'RUN':
        await run('sh', ['-c', rest === 'npm ci --ignore-scripts' ? installed(project) : rest], {
          cwd: join(root, workingDirectory),
          timeout: 100_000,
        });
        break;
      case 'USER':
        user = rest;
        break;
      case 'ENTRYPOINT':
        entrypoint = JSON.parse(rest) as string[];
        break;
      case 'CMD':
        command = JSON.parse(rest) as string[];
        break;
      case 'LABEL':
        for (const [, label = ''] of rest.matchAll(/([\w.]+)="/g)) labels.add(label);
        break;
      case 'ARG':
      case 'ENV':
      case 'EXPOSE':
        break;
      default:
        throw new Error(`${name} is not known here`);
    }
  }
  return { root, user, entrypoint, command, labels };
}
