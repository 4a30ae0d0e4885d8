/**
 * Runs a target on the inputs that are kept for it (corpus/NAME/), and then on inputs that are made of them. An input
 * that the target answers in a way not seen before, or that reaches code not reached before, is built upon, so that runs get
 * deeper; what the run adds is lost with it, unless it is a finding.
 */

import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../../src/simulate/random.js';
import { Reached, type Coverage, type Ran } from './coverage.js';
import { Mutator } from './mutation.js';

export interface Target {
  readonly name: string;
  /**
   * @returns in short, how the input was answered
   * @throws Error when it broke what must hold: a finding
   */
  run(input: Buffer): string | Promise<string>;
  close(): Promise<void>;
}

export interface FuzzOptions {
  readonly seed: number;
  /** Ends after so many inputs, the kept ones not counted. */
  readonly inputs?: number;
  /** Ends after this time, in ms. */
  readonly durationMs: number;
  /** Absent: only answers guide. For targets that do the same whenever they get the same. */
  readonly coverage?: Coverage;
  /** Whether findings are written to the corpus; default true. */
  readonly keep?: boolean;
}

export interface FuzzReport {
  readonly inputs: number;
  /** Different answers that were seen. */
  readonly answers: number;
  /** Of code that was reached, with coverage. */
  readonly characters: number;
  /** Files that were written for findings. */
  readonly findings: readonly { readonly file: string; readonly reason: string }[];
}

const corpusDirectory = fileURLToPath(new URL('corpus/', import.meta.url));
/** An input that takes longer has found a hang, in ms. */
const inputTimeoutMs = 5_000;
const findingLimit = 10;
/** Between two looks at what was reached, each of which takes milliseconds: so many inputs, or so much time. */
const batchSize = 256;
const batchMs = 100;

export async function fuzz(
  target: Target,
  { seed, inputs = Infinity, durationMs, coverage, keep = true }: FuzzOptions,
): Promise<FuzzReport> {
  const directory = join(corpusDirectory, target.name);
  await mkdir(directory, { recursive: true });
  const kept = await Promise.all((await readdir(directory)).sort().map((name) => readFile(join(directory, name))));
  const pool: Buffer[] = kept.length === 0 ? [Buffer.alloc(0)] : [...kept];
  const seen = new Set<string>();
  const reached = new Reached();
  const findings: { file: string; reason: string }[] = [];
  const mutator = new Mutator(seededRandom(seed));
  const end = performance.now() + durationMs;
  const attempt = async (input: Buffer): Promise<void> => {
    try {
      const answer = await inTime(target, input);
      if (seen.has(answer)) return;
      seen.add(answer);
      pool.push(input);
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const digest = createHash('sha256').update(input).digest('hex').slice(0, 12);
      const file = join(directory, `finding-${digest}`);
      if (keep) await writeFile(file, input);
      findings.push({ file, reason });
    }
  };
  const ranNow = async (): Promise<Ran> => (await coverage?.take()) ?? new Map<string, Uint8Array>();
  /** Runs them once more, in halves, to tell which of them reached what was not reached before. */
  const locate = async (batch: readonly Buffer[]): Promise<void> => {
    for (const input of batch) await attempt(input);
    const ran = await ranNow();
    if (!reached.isNew(ran)) return;
    if (batch.length > 1) {
      const middle = batch.length >> 1;
      await locate(batch.slice(0, middle));
      await locate(batch.slice(middle));
    } else pool.push(...batch);
    // What only all of them together reach is reached as well.
    reached.add(ran);
  };
  for (const input of kept) await attempt(input);
  reached.add(await ranNow());
  let count = 0;
  let batch: Buffer[] = [];
  let batchEnds = performance.now() + batchMs;
  while (count < inputs && performance.now() < end && findings.length < findingLimit) {
    const input = mutator.mutate(mutator.pick(pool), pool);
    await attempt(input);
    count += 1;
    if (coverage === undefined || (batch.push(input) < batchSize && performance.now() < batchEnds)) continue;
    if (reached.isNew(await ranNow())) await locate(batch);
    batch = [];
    batchEnds = performance.now() + batchMs;
  }
  return { inputs: count, answers: seen.size, characters: reached.size, findings };
}

async function inTime(target: Target, input: Buffer): Promise<string> {
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${String(inputTimeoutMs)} ms`));
    }, inputTimeoutMs);
  });
  try {
    const answer = await Promise.race([target.run(input), late]);
    const tookMs = performance.now() - startedAt;
    if (tookMs > inputTimeoutMs) throw new Error(`it took ${String(Math.round(tookMs))} ms`);
    return answer;
  } finally {
    clearTimeout(timer);
  }
}

/** The kind of an answer: its words without what the input brought in. */
export function kindOf(text: string): string {
  return text.replace(/"[^"]*"|'[^']*'|\d+/gu, '_').slice(0, 120);
}
