/** Writes every generated file: npm run generate */

import { mkdirSync, writeFileSync } from 'node:fs';
import { generatedFiles } from './generated-files.js';

for (const [path, content] of await generatedFiles()) {
  const file = new URL(`../${path}`, import.meta.url);
  mkdirSync(new URL('.', file), { recursive: true });
  writeFileSync(file, content);
}
