/** Files that are made from the sources are those that the sources make. */

import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { generatedFiles } from '../docs/generated-files.js';

test('every generated file is up to date', async (t) => {
  for (const [path, content] of await generatedFiles()) {
    const present = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
    t.equal(present, content, `${path}; else run: npm run generate`);
  }
});
