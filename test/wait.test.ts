/** waitFor() names what did not come, and where it was waited for. */

import { test } from 'tap';
import { waitFor } from './wait.js';

test('a condition without a description is named by its text, and the caller by its line', async (t) => {
  const stream = { results: [] as string[] };
  const failed = waitFor(() => stream.results.includes('op-1'), { timeoutMs: 20 });
  await t.rejects(failed, {
    message: /^timed out after 20 ms waiting for stream\.results\.includes\(["']op-1["']\)$/u,
  });
  const error: unknown = await failed.catch((reason: unknown) => reason);
  t.match((error as Error).stack, /wait\.test\.ts:8/u);
});

test('a description takes the place of the text, and the last error is the cause', async (t) => {
  const throwing = (): never => {
    throw new Error('not yet');
  };
  const failed = waitFor(throwing, { timeoutMs: 20, description: 'the impossible' });
  await t.rejects(failed, { message: /waiting for the impossible$/u, cause: { message: 'not yet' } });
});

test('a look that takes longer than the deadline fails as well', async (t) => {
  const failed = waitFor(() => new Promise<boolean>(() => undefined), { timeoutMs: 20, description: 'a look' });
  await t.rejects(failed, { message: /waiting for a look/u });
});
