/**
 * Which of our code runs, by V8's precise coverage (Chrome DevTools Protocol, Profiler.takePreciseCoverage), in this
 * process: fuzzing builds upon inputs that reach what no other one has reached.
 */

import { Session, type Profiler } from 'node:inspector/promises';

const sources = new URL('../../src/', import.meta.url).href;

/** Of each file, a byte for each character: 1 where it ran. */
export type Ran = ReadonlyMap<string, Uint8Array>;

export class Coverage {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /** To be called before what is to be counted runs: V8 counts blocks of functions that it compiles from then on. */
  static async start(): Promise<Coverage> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return new Coverage(session);
  }

  /** What has run since the last call. */
  async take(): Promise<Ran> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    const ran = new Map<string, Uint8Array>();
    for (const { url, functions } of result) {
      if (!url.startsWith(sources)) continue;
      const ranges = functions.filter(({ isBlockCoverage }) => isBlockCoverage).flatMap(({ ranges }) => ranges);
      if (ranges.some(({ count }) => count > 0)) ran.set(url, charactersOf(ranges));
    }
    return ran;
  }

  stop(): void {
    this.#session.disconnect();
  }
}

/** Ranges lie within each other, of functions and of blocks in them; the innermost one counts. */
function charactersOf(ranges: readonly Profiler.CoverageRange[]): Uint8Array {
  const characters = new Uint8Array(Math.max(...ranges.map(({ endOffset }) => endOffset)));
  const outerFirst = ranges.toSorted((a, b) => b.endOffset - b.startOffset - (a.endOffset - a.startOffset));
  for (const { startOffset, endOffset, count } of outerFirst)
    characters.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return characters;
}

/** All that was reached so far. */
export class Reached {
  readonly #files = new Map<string, Uint8Array>();
  /** Characters of code. */
  size = 0;

  /** Whether something ran that was not reached before. */
  isNew(ran: Ran): boolean {
    return [...ran].some(([file, characters]) => {
      const known = this.#files.get(file);
      return characters.some((one, at) => one === 1 && known?.[at] !== 1);
    });
  }

  add(ran: Ran): void {
    for (const [file, characters] of ran) {
      const known = new Uint8Array(Math.max(characters.length, this.#files.get(file)?.length ?? 0));
      known.set(this.#files.get(file) ?? []);
      characters.forEach((one, at) => {
        if (one === 0 || known[at] === 1) return;
        known[at] = 1;
        this.size += 1;
      });
      this.#files.set(file, known);
    }
  }
}
