/** The other implementations of text format: protoc (C++) and Java's library, each handling a whole corpus per start. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const proto = fileURLToPath(new URL('../../../proto', import.meta.url));
const javaLibrary = '/usr/share/java/protobuf.jar';
const includes = ['-I', here, '-I', proto];
/** Per process; compiling the generated Java takes 5 s on two idle cores. */
const options = { timeout: 120_000, maxBuffer: 256 * 1024 * 1024 };

export const javaStyles = ['toString', 'printer', 'unescaped', 'short', 'expandedAny', 'numbers'] as const;
export type JavaStyle = (typeof javaStyles)[number];

/** Why a peer cannot be asked on this machine, or false: tap's `skip`. */
export const noProtoc: string | false = runs('protoc', '--version') ? false : 'protoc is not installed';
export const noJava: string | false =
  noProtoc ||
  (!existsSync(javaLibrary) && `${javaLibrary} is not installed`) ||
  (!(runs('javac', '-version') && runs('java', '-version')) && 'no JDK is installed');

export function protocEncode(type: string, text: string): Uint8Array {
  return execFileSync('protoc', [...includes, `--encode=${type}`, 'corpus.proto'], { ...options, input: text });
}

export function protocDecode(type: string, binary: Uint8Array): string {
  return execFileSync('protoc', [...includes, `--decode=${type}`, 'corpus.proto'], {
    ...options,
    input: binary,
  }).toString();
}

/** As protoc prints a message of which it knows nothing. */
export function protocDecodeRaw(binary: Uint8Array): string {
  return execFileSync('protoc', ['--decode_raw'], { ...options, input: binary }).toString();
}

export interface JavaAnswer {
  readonly read: Uint8Array;
  readonly printed: Readonly<Record<JavaStyle, string>>;
}

/**
 * What Java reads in `text` (in binary) and prints for `binary`, both a corpus.Corpus; with style "numbers" what it prints
 * for `unknown`, as a message of which it knows no field.
 */
export function askJava(text: string, binary: Uint8Array, unknown: Uint8Array): JavaAnswer {
  const directory = mkdtempSync(join(tmpdir(), 'text-format-'));
  try {
    const classes = join(directory, 'classes');
    mkdirSync(classes);
    execFileSync('protoc', [...includes, `--java_out=${directory}`, 'corpus.proto', 'ops/operations.proto'], options);
    const sources = ['corpus/CorpusOuterClass.java', 'ops/OperationsOuterClass.java'].map((name) =>
      join(directory, name),
    );
    sources.push(join(here, 'TextFormatPeer.java'));
    execFileSync('javac', ['-proc:none', '-nowarn', '-cp', javaLibrary, '-d', classes, ...sources], options);
    writeFileSync(join(directory, 'ours.txt'), text);
    writeFileSync(join(directory, 'ours.binpb'), binary);
    writeFileSync(join(directory, 'unknown.binpb'), unknown);
    execFileSync(
      'java',
      ['-Dfile.encoding=UTF-8', '-cp', `${javaLibrary}:${classes}`, 'TextFormatPeer', directory],
      options,
    );
    return {
      read: readFileSync(join(directory, 'java.binpb')),
      printed: Object.fromEntries(
        javaStyles.map((style) => [style, readFileSync(join(directory, `java.${style}.txt`), 'utf8')]),
      ) as Record<JavaStyle, string>,
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function runs(command: string, argument: string): boolean {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
