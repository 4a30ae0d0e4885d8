/** kubectl at `-v=8`: what it says to its user, told apart from what it logs of its requests. */

/** The first line of an entry of klog: its level, and its text behind file and line. */
const entry = /^([IWEF])\d{4} [\d:.]+ +\d+ \S+\] (.*)$/u;
/** The entry before goes on: headers and bodies. */
const continuation = /^(?:[\s}\d].*)?$/u;

export interface KubectlLog {
  /** As without `-v`. */
  readonly said: string;
  readonly log: string;
}

/** @param stderr of kubectl */
export function readLog(stderr: string): KubectlLog {
  const said: string[] = [];
  const log: string[] = [];
  let inEntry = false;
  for (const line of stderr.split('\n')) {
    const [, level = '', text = ''] = entry.exec(line) ?? [];
    // kubectl 1.22 dies with its last words and the stacks of all goroutines.
    if (line.startsWith('goroutine ')) break;
    inEntry = level === 'I' || (inEntry && level === '' && continuation.test(line));
    if (level === 'F') said.push(text);
    else if (inEntry) log.push(line);
    else said.push(line);
  }
  return { said: said.join('\n'), log: log.join('\n') };
}

/**
 * Why kubectl 1.22 says that the cluster does not have a resource type, if that is only because it was told to ask again later for
 * the types of a group, until its time was over: it goes on without a group that it cannot read, and its user does not hear why.
 * @returns undefined: for another reason
 */
export function passingDiscoveryFailure({ said, log }: KubectlLog): string | undefined {
  if (!said.includes("the server doesn't have a resource type")) return undefined;
  const statuses = [...log.matchAll(/Response Status: (\d*)/gu)].map(([, status = '']) => status);
  // An answer of another kind, or a list without the type, is not for a moment.
  if (log.includes('no resources found') || !statuses.every((status) => ['', '200', '503'].includes(status)))
    return undefined;
  return /skipped caching discovery info due to (.*)/u.exec(log)?.[1];
}
