/**
 * `npm run chaos -- [--scenario NAME] [--minutes N] [--seed S] [--scale X] [--source DIR] [--keep]`: runs scenarios, all
 * of them or one, again with following seeds until the minutes are over (default: once), and ends non-zero when an
 * invariant was broken. The seed that is printed repeats what was done. `--keep` keeps histories and logs, as does every
 * run that fails. `--source` runs another copy of the sources than the tree. `--fault NAME`, once or more, narrows the
 * faults that random, redis-flapping and database-restarts choose from (faults.ts).
 */

import { parseArgs } from 'node:util';
import { copySources } from './build.js';
import { faultNames } from './faults.js';
import { describeViolations } from './describe.js';
import { monotonicMs } from './history.js';
import { scenarios } from './scenarios.js';

const { values } = parseArgs({
  options: {
    scenario: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    scale: { type: 'string', default: '1' },
    source: { type: 'string' },
    fault: { type: 'string', multiple: true },
    keep: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const chosen = scenarios.filter(({ name }) => values.scenario === undefined || name === values.scenario);
if (chosen.length === 0) {
  say(`no scenario "${values.scenario ?? ''}"; there are ${scenarios.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const faults = values.fault?.map((name) => {
  const known = faultNames.find((candidate) => candidate === name);
  if (known === undefined) say(`no fault "${name}"; there are ${faultNames.join(', ')}`);
  return known ?? process.exit(2);
});
const firstSeed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
const endsAt = monotonicMs() + Number(values.minutes ?? 0) * 60_000;
const build = await copySources([], values.source);
let broken = 0;
let runs = 0;
try {
  for (let seed = firstSeed; ; seed += 1) {
    for (const scenario of chosen) {
      say(`\n== ${scenario.name} --seed ${seed}: ${scenario.description}`);
      const started = monotonicMs();
      const result = await scenario.run({
        seed,
        scale: Number(values.scale),
        build,
        keepFiles: true,
        ...(faults === undefined ? {} : { faults }),
        log: (line) => say(`${((monotonicMs() - started) / 1_000).toFixed(1).padStart(6)} s  ${line}`),
      });
      runs += 1;
      say(result.report);
      for (const failure of result.failures) say(`not kept: ${failure}`);
      const failed = result.violations.length + result.failures.length;
      if (result.violations.length > 0) say(describeViolations(result.verdict.events, result.violations));
      if (failed > 0) broken += 1;
      if (failed > 0 || values.keep) say(`histories and logs: ${result.directory}`);
      else await removeDirectory(result.directory);
      say(
        `${failed === 0 ? 'ok' : 'BROKEN'} ${scenario.name} --seed ${seed} (${((monotonicMs() - started) / 1_000).toFixed(0)} s)`,
      );
    }
    if (monotonicMs() >= endsAt) break;
  }
} finally {
  await build.remove();
}
say(`\n${runs} runs, ${broken} broken`);
process.exitCode = broken === 0 ? 0 : 1;

async function removeDirectory(directory: string): Promise<void> {
  const { rm } = await import('node:fs/promises');
  await rm(directory, { recursive: true, force: true });
}
