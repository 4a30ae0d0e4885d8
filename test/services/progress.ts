/** One place for lines about work that takes long: nobody should wonder whether a command still runs. */

export interface ProgressOptions {
  /** Before the first line, in ms: what is quick is not worth one. Default 5000. */
  readonly firstMs?: number;
  /** Between two lines, in ms; default 15000. */
  readonly everyMs?: number;
  /** Default: standard error. */
  readonly write?: (line: string) => unknown;
}

/**
 * Runs a piece of work, and says so as long as it takes: `WHAT ... 5 s`, and at the end `WHAT: done after 75 s`.
 * @param what in the form "building the Kubernetes control plane"
 * @returns what the work gives
 */
export async function progress<T>(what: string, work: () => Promise<T>, options: ProgressOptions = {}): Promise<T> {
  const { firstMs = 5_000, everyMs = 15_000, write = (line: string) => process.stderr.write(line) } = options;
  const startedAt = performance.now();
  const seconds = (): string => `${((performance.now() - startedAt) / 1_000).toFixed(0)} s`;
  let isAnnounced = false;
  const say = (): void => {
    isAnnounced = true;
    write(`${what} ... ${seconds()}\n`);
    timer = setTimeout(say, everyMs);
  };
  let timer = setTimeout(say, firstMs);
  try {
    const result = await work();
    if (isAnnounced) write(`${what}: done after ${seconds()}\n`);
    return result;
  } catch (error) {
    if (isAnnounced) write(`${what}: failed after ${seconds()}\n`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
