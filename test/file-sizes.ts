/** What `npm run check` asks of the files in src/: most are short, and one that is long says why at its top. */

import { runStep, sources } from './check-step.js';

const largestMedian = 100;
const longest = 400;
/** ESLint's comment that allows a long file; its reason follows `--`. */
const reason = /^\/\* eslint-disable max-lines -- \S.* \*\/$/mu;
/** The reason stands in the first lines, before the code. */
const firstLines = 20;
const generated = 'src/protocol/generated/';

/**
 * @param sources by path from the project's directory; generated files do not count
 * @returns a sentence for each file that is too long without a reason, and one if the median is too large
 */
export function sizeProblems(sources: ReadonlyMap<string, string>): string[] {
  const files = [...sources]
    .filter(([path]) => !path.startsWith(generated))
    .map(([path, source]) => ({ path, source, lines: source.trimEnd().split('\n').length }));
  const problems = files
    .filter(({ source, lines }) => lines > longest && !reason.test(source.split('\n', firstLines).join('\n')))
    .map(({ path, lines }) => `${path}: ${lines} lines, ${longest} at most without a reason in the first lines`);
  const median = files.map(({ lines }) => lines).sort((a, b) => a - b)[Math.floor(files.length / 2)] ?? 0;
  if (median > largestMedian) problems.push(`half of the files have ${median} lines or more, ${largestMedian} at most`);
  return problems;
}

runStep(import.meta.url, () => sizeProblems(sources(/\.[jt]s$/u)));
