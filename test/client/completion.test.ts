/** Completion, as bash itself does it. */

import { execFileSync } from 'node:child_process';
import { test } from 'tap';
import { completion } from '../../src/client/completion.js';
import { format, table } from '../../src/client/output.js';

/** What bash offers for the last word of a command line. */
function offered(...words: readonly string[]): string[] {
  const array = words.map((word) => `'${word}'`).join(' ');
  const script = `${completion('bash')}\nCOMP_WORDS=(${array}); COMP_CWORD=${words.length - 1}; _agent_gateway; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
}

test('bash completes commands, requests, flags and their values', (t) => {
  t.same(offered('agent-gateway', 'a').sort(), ['accounts', 'agent', 'agents']);
  t.same(offered('agent-gateway', 'ops', '').sort(), ['get', 'list', 'send', 'watch']);
  t.same(offered('agent-gateway', 'ops', 'send', 're').sort(), ['restart', 'resume']);
  t.ok(offered('agent-gateway', 'ops', 'list', '--').includes('--since'));
  t.same(offered('agent-gateway', 'agents', '-o', ''), ['table', 'json', 'yaml']);
  t.same(offered('agent-gateway', 'completion', 'z'), ['zsh']);
  t.end();
});

test('zsh takes the same script, and fish has one of its own', (t) => {
  t.match(completion('zsh'), /^autoload -U \+X bashcompinit/);
  const fish = completion('fish').trimEnd().split('\n');
  t.ok(fish.every((line) => line.startsWith('complete -c agent-gateway ')));
  t.end();
});

test('tables are aligned, and nothing in them steers a terminal', (t) => {
  const rows = [
    { name: 'a\u001b[2J', size: '1' },
    { name: 'longer name', size: '' },
  ];
  const columns = [
    ['NAME', (row: { name: string }) => row.name],
    ['SIZE', (row: { size: string }) => row.size],
  ] as const;
  t.equal(table(rows, columns as never), 'NAME          SIZE\na\u{fffd}[2J         1\nlonger name\n');
  t.equal(format('json', rows[1] as object, []), '{\n  "name": "longer name",\n  "size": ""\n}\n');
  t.end();
});
