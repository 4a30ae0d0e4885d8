import { readFileSync } from 'node:fs';
import { test } from 'tap';

import { repositoryPaths } from '../../signposts.js';

const asking = repositoryPaths()
  .filter((path) => path.startsWith('src/') && path.endsWith('.ts'))
  .filter((path) =>
    /\.engine\b|\[engine\]|\bengine\b\s*[!=]==\s*'(mysql|postgresql)'/.test(readFileSync(path, 'utf8')),
  );

test('only the files that dialect.ts names ask which engine it is', async (t) => {
  const header = readFileSync('src/store/sql/dialect.ts', 'utf8').split('*/')[0] ?? '';
  const named = [...header.matchAll(/`(store\/[^`]+)`/g)].map(([, path = '']) => `src/${path}`);
  t.ok(named.length > 3);
  t.ok(asking.length > 3);
  const others = asking.filter((path) => !named.some((name) => path.startsWith(name)));
  t.same(others, []);
});
