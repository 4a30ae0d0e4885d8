/** Coverage tells what an input reaches; in a process of its own, because V8 counts only what it compiles from then on. */

import { test } from 'tap';
import { sniff } from '../../src/gateway/listeners/first-bytes.js';
import { Coverage, Reached } from './coverage.js';
import { fuzz, type Target } from './fuzz.js';

test('inputs that reach new code are built upon, whatever the answer', async (t) => {
  const coverage = await Coverage.start();
  t.teardown(() => {
    coverage.stop();
  });
  const reached = new Reached();
  const reaches = async (bytes: Buffer): Promise<boolean> => {
    sniff(bytes);
    const ran = await coverage.take();
    const isNew = reached.isNew(ran);
    reached.add(ran);
    return isNew;
  };
  const [text, tls] = [Buffer.from('x'), Buffer.from([0x16, 0x03, 0x01])];
  t.equal(await reaches(text), true);
  t.equal(await reaches(text), false, 'the same again');
  t.equal(await reaches(tls), true);
  t.equal(await reaches(tls), false);

  const silent: Target = {
    name: 'first-bytes',
    run: (input) => {
      sniff(input);
      return 'always the same';
    },
    close: () => Promise.resolve(),
  };
  const run = async (inputs: number): Promise<number> => {
    const { characters } = await fuzz(silent, { seed: 1, inputs, durationMs: 20_000, coverage, keep: false });
    return characters;
  };
  t.ok((await run(5_000)) > (await run(0)), 'and more of it is reached');
});
