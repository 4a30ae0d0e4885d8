/** Long lists of names are cut, and say so. */

import { test } from 'tap';
import { firstNames } from '../../src/core/first-names.js';

test('as many names as are wanted, and the number of the others', async (t) => {
  t.equal(firstNames([], 2), '');
  t.equal(firstNames(['a', 'b'], 2), 'a, b');
  t.equal(firstNames(['a', 'b', 'c'], 2), 'a, b and 1 more');
});
