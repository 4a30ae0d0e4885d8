/**
 * `npm run fuzz [-- --seconds N] [--target NAME] [--seed N]`: each target for N seconds (default 100). Findings become
 * files of the corpus; mend what they found and keep them.
 */

import { parseArgs } from 'node:util';
import { ReleaseStack } from '../../src/core/release-stack.js';
import { Coverage } from './coverage.js';
import { fuzz } from './fuzz.js';
import { networkTargets } from './network-targets.js';
import { pureTargets } from './pure-targets.js';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '100' }, target: { type: 'string' }, seed: { type: 'string' } },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const scope = new ReleaseStack();
const coverage = await Coverage.start();
scope.push('coverage', () => {
  coverage.stop();
});
const teardown = (release: () => Promise<void> | void): void => {
  scope.push('fuzz', release);
};
let found = 0;
try {
  const targets = [...pureTargets, ...(await networkTargets({ teardown }))];
  for (const target of targets.filter(({ name }) => values.target === undefined || name === values.target)) {
    const guided = pureTargets.includes(target);
    const { inputs, answers, characters, findings } = await fuzz(target, {
      ...{ seed, durationMs: Number(values.seconds) * 1_000 },
      ...(guided ? { coverage } : {}),
    });
    const reached = guided ? `${String(characters)} characters of code, ` : '';
    const counts = `${String(inputs)} inputs, ${reached}${String(answers)} kinds of answers, ${String(findings.length)} findings`;
    process.stdout.write(`${target.name}: ${counts} (seed ${String(seed)})\n`);
    for (const { file, reason } of findings)
      process.stdout.write(`  ${file}\n    ${reason.replaceAll('\n', '\n    ')}\n`);
    found += findings.length;
  }
} finally {
  await scope.close();
}
process.exitCode = found > 0 ? 1 : 0;
