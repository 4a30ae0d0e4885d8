/** What the check of dependencies finds. */

import { test } from 'tap';
import { supplyProblems } from './supply.js';

const integrity = 'sha512-AAAA';
const fine = { version: '1.0.0', integrity, license: 'MIT' };

test('dependencies', (t) => {
  const found = (name: string, entry: object, version = '1.0.0'): string[] => {
    const packages = { '': { dependencies: { [name]: version } }, [`node_modules/${name}`]: entry };
    return supplyProblems({ packages }, { dependencies: { [name]: version } });
  };
  t.same(found('a', fine), []);
  t.match(found('a', fine, '^1.0.0'), ['a: ^1.0.0 is not one exact version']);
  t.match(found('a', { ...fine, integrity: undefined }), ['a: has no digest']);
  t.match(found('a', { ...fine, resolved: 'git+ssh://git@example.com/a.git' }), [/no package of a registry/u]);
  t.match(found('a', { ...fine, hasInstallScript: true }), [/runs a script when it is installed/u]);
  t.match(found('a', { ...fine, license: 'AGPL-3.0' }), [/the licence "AGPL-3\.0" is not on the list/u]);
  t.match(found('a', { ...fine, license: undefined }), [/the licence "none"/u]);
  t.same(found('a', { ...fine, license: 'AGPL-3.0', dev: true }), [], 'of a tool that is not shipped');
  const manifest = { dependencies: { a: '2.0.0' } };
  const lock = { packages: { '': { dependencies: { a: '1.0.0' } }, 'node_modules/a': fine } };
  t.match(supplyProblems(lock, manifest), ['a: package-lock.json does not have 2.0.0']);
  t.end();
});
