/** A slice of `npm run fuzz`: the inputs that are kept, and some that are made of them, always the same. */

import { test, type Test } from 'tap';
import { fuzz, type Target } from './fuzz.js';
import { networkTargets } from './network-targets.js';
import { pureTargets } from './pure-targets.js';

async function slice(t: Test, target: Target, inputs: number): Promise<void> {
  const { findings, inputs: tried } = await fuzz(target, { seed: 1, inputs, durationMs: 20_000 });
  t.same(findings, [], target.name);
  t.ok(tried > 0);
}

test('functions', async (t) => {
  for (const target of pureTargets) await slice(t, target, 3_000);
});

test('a gateway', async (t) => {
  for (const target of await networkTargets(t)) await slice(t, target, 300);
});

test('a target that breaks is found out', async (t) => {
  const broken: Target = {
    name: 'first-bytes',
    run: (input) => {
      if (input.includes(0x16)) throw new Error('broken');
      return 'fine';
    },
    close: () => Promise.resolve(),
  };
  const { findings } = await fuzz(broken, { seed: 1, inputs: 0, durationMs: 10_000, keep: false });
  t.match(findings[0], { reason: /broken/u });
});
