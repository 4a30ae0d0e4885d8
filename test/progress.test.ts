/** Lines about work that takes long, and what they are about when servers are installed. */

import { existsSync, readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { ensurePackages } from './services/packages.js';
import { progress } from './services/progress.js';
import { waitFor } from './wait.js';

test('quick work has no line; slow work has some, and a last one', async (t) => {
  const lines: string[] = [];
  const options = { firstMs: 20, everyMs: 20, write: (line: string) => lines.push(line) };
  t.equal(await progress('thinking', () => Promise.resolve(1), options), 1);
  t.same(lines, []);

  let finish = (): void => undefined;
  const slow = progress('building', () => new Promise<void>((resolve) => (finish = resolve)), options);
  await waitFor(() => lines.length >= 2);
  finish();
  await slow;
  t.match(lines, [/^building \.\.\. 0 s\n$/u, /^building \.\.\. 0 s\n$/u]);
  t.equal(lines.at(-1), 'building: done after 0 s\n');

  lines.length = 0;
  let fail = (_: Error): void => undefined;
  const broken = progress('fetching', () => new Promise<void>((_, reject) => (fail = reject)), options);
  await waitFor(() => lines.length > 0);
  fail(new Error('no network'));
  await t.rejects(broken, { message: 'no network' });
  t.equal(lines.at(-1), 'fetching: failed after 0 s\n');
  const before = lines.length;
  await pause(60);
  t.equal(lines.length, before, 'nothing comes afterwards');
});

test('packages are installed after saying which, and their services are neither started nor enabled', async (t) => {
  const isRoot = process.getuid?.() === 0;
  const root = t.testdir({
    etc: { systemd: { system: { 'multi-user.target.wants': { 'cron.service': '' } } } },
    usr: { sbin: {} },
    bin: {
      // Says of a package that it is installed after apt-get has installed it.
      'dpkg-query': '#!/bin/sh\nfor name; do :; done\ntest -e "$ROOT/$name" && printf installed || exit 1\n',
      'apt-get': `#!/bin/sh
test "$1" = install || exit 0
for name; do case $name in -*|install) ;; *) touch "$ROOT/$name" "$ROOT/etc/systemd/system/multi-user.target.wants/$name.service" ;; esac; done
cp "$ROOT/usr/sbin/policy-rc.d" "$ROOT/policy"
`,
      systemctl: '#!/bin/sh\necho "$@" >> "$ROOT/systemctl.log"\n',
    },
  });
  for (const program of ['dpkg-query', 'apt-get', 'systemctl']) await chmod(join(root, 'bin', program), 0o755);
  const { PATH: path = '' } = process.env;
  Object.assign(process.env, { ROOT: root, PATH: `${join(root, 'bin')}${delimiter}${path}` });
  t.teardown(() => Object.assign(process.env, { PATH: path }));

  const lines: string[] = [];
  const options = { names: ['a-server', 'b-server'], root, write: (line: string) => lines.push(line) };
  if (!isRoot) {
    await t.rejects(ensurePackages(options), { message: /as root: apt-get install .*a-server b-server/u });
    return;
  }
  await ensurePackages(options);
  t.same(lines, ['installing Debian packages, without starting or enabling their services: a-server b-server\n']);
  t.match(readFileSync(join(root, 'policy'), 'utf8'), /exit 101/u, 'nothing starts during the installation');
  t.notOk(existsSync(join(root, 'usr/sbin/policy-rc.d')), 'the machine is as it was');
  t.equal(
    readFileSync(join(root, 'systemctl.log'), 'utf8'),
    'disable --quiet a-server.service b-server.service\n',
    'what was enabled before stays so',
  );
  lines.length = 0;
  await ensurePackages(options);
  t.same(lines, [], 'and nothing is said, or done, a second time');
});
