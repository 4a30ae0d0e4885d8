/** Reads which paths of this repository a text names, and says which of them do not exist. */

import { readdirSync } from 'node:fs';

/** Folders that are made, or are not ours. */
const foreign = new Set(['node_modules', 'dist', 'coverage', '.git', '.tap']);
const roots = 'src|test|docs|helm|k8s|proto|bench|demo';
const one = String.raw`[\w@.*,{}-]+`;
/** `docs/x.md`, `src/store/`, `helm/*\/templates`: starts with a folder at the top of the repository. */
const anchored = new RegExp(String.raw`(?<![\w./@:~$-])(?:\./|(?:\.\./)*)?((?:${roots})/(?:${one}/)*(?:${one})?)`, 'g');
/** `registry.ts`, `agents/registry.ts`: the end of a path, of the kinds that nobody but this repository has here. */
const ending = /(?<![\w./@:~$^*-])((?:[\w@{},-]+\/)*[\w@{},-][\w@.{},-]*\.(?:ts|cjs|proto|md))(?![\w/])/g;
/** What stands for any name, and files of other projects: grpc-js, Kubernetes' design documents, protobuf. */
const placeholder = /NAME|^test\/x\.test\.ts$|^http_proxy\.ts$|^sig-api-machinery\/|^descriptor\.proto$/;

interface Named {
  readonly path: string;
  readonly line: number;
}

/** Every file and folder (with `/` at its end) of the repository, as it lies there: git is not needed. */
export function repositoryPaths(directory = '.', prefix = ''): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (foreign.has(entry.name)) return [];
    const path = `${prefix}${entry.name}`;
    return entry.isDirectory() ? [`${path}/`, ...repositoryPaths(`${directory}/${entry.name}`, `${path}/`)] : [path];
  });
}

/** `a{b,c}` as `ab` and `ac`. */
function alternatives(path: string): string[] {
  const [whole, before = '', inside = '', after = ''] = /^(.*?)\{([^{}]*)\}(.*)$/.exec(path) ?? [];
  if (whole === undefined) return [path];
  return inside.split(',').flatMap((part) => alternatives(`${before}${part}${after}`));
}

/** `^src/(a|b/(c|d))` as `^src/a`, `^src/b/c` and `^src/b/d`. */
export function branches(expression: string): string[] {
  const [whole, before = '', inside = '', after = ''] = /^(.*?)\(([^()]*)\)(?!\?)(.*)$/.exec(expression) ?? [];
  if (whole === undefined) return expression.split('|');
  return inside.split('|').flatMap((part) => branches(`${before}${part}${after}`));
}

/** Paths that a text names, with the line of each. `kinds`: the whole of them, or only those from the top. */
export function namedPaths(text: string, kinds: 'all' | 'anchored' = 'all'): Named[] {
  return text.split('\n').flatMap((content, index) =>
    [anchored, ...(kinds === 'all' ? [ending] : [])].flatMap((pattern) =>
      [...content.matchAll(pattern)]
        .map(([, path = '']) => path.replace(/[.,]+$/, ''))
        .filter((path) => !placeholder.test(path))
        .flatMap((path) => alternatives(path))
        .map((path) => ({ path, line: index + 1 })),
    ),
  );
}

/** The same text with only its comments left, line by line. */
export function commentsOf(source: string): string {
  return source
    .split('\n')
    .map((line) => /^\s*(?:\/?\*|\/\/)(.*)|\s\/\/ (.*)$/.exec(line)?.slice(1).join('') ?? '')
    .join('\n');
}

/** Whether something has that path, or (if it does not start at the top) ends with it. */
export function existsIn(paths: readonly string[], path: string): boolean {
  const escaped = path
    .replace(/\/$/, '')
    .replace(/[.+^$()|[\]\\]/g, String.raw`\$&`)
    .replace(/\*\*\/|\*\*|\*/g, (stars) => (stars === '*' ? '[^/]*' : '.*'));
  const pattern = new RegExp(`(?:^|/)${escaped}/?$`);
  return paths.some((known) => pattern.test(known));
}
