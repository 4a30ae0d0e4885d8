/**
 * Which versions of Node.js the program runs on. This file is loaded before every other one, by versions that cannot load those:
 * it imports nothing, and is written for Node.js 14.
 */

/** The oldest one on which the program can run: before it, `require` does not load ES modules, which dependencies rely on. */
const oldest = [20, 19];
/** The oldest supported one, which is that of `engines` in package.json; a test compares them. */
const oldestSupported = [22, 12];

/**
 * @param version such as `20.20.2`
 * @returns a sentence, and whether the program has to end there; undefined: all is well
 */
export function nodeProblem(version: string): { readonly text: string; readonly fatal: boolean } | undefined {
  if (!isBefore(version, oldestSupported)) return undefined;
  const needed = `Agent Gateway needs Node.js ${oldestSupported.join('.')} or newer`;
  if (isBefore(version, oldest))
    return { text: `${needed}, and cannot run on ${version}; install a newer one`, fatal: true };
  return { text: `${needed}; ${version} may work, but is not supported`, fatal: false };
}

function isBefore(version: string, bound: readonly number[]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [boundMajor = 0, boundMinor = 0] = bound;
  return major < boundMajor || (major === boundMajor && minor < boundMinor);
}
