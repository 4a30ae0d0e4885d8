import { readFileSync } from 'node:fs';
import { test } from 'tap';

import { repositoryPaths } from '../signposts.js';

const withSql = repositoryPaths()
  .filter((path) => path.startsWith('src/store/') && path.endsWith('.ts'))
  .filter((path) =>
    /\b(selectFrom|insertInto|updateTable|deleteFrom)\(|\bsql(<[^>]*>)?`/.test(readFileSync(path, 'utf8')),
  );

test('SQL is in *-statements.ts, apart from the classes that compose it', async (t) => {
  t.ok(withSql.length > 10);
  const elsewhere = withSql.filter((path) => !/-statements\.ts$|^src\/store\/(sql|migrations)\//.test(path));
  t.same(elsewhere, []);
});
