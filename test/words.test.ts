/** The words of the glossary are said only where they mean what it says. */

import { existsSync } from 'node:fs';
import { test } from 'tap';
import { wordProblems, words } from './words.js';

const problemsOf = (path: string, line: string): string[] => wordProblems(new Map([[path, `\n${line}\n`]]));

test('a word outside of its rooms is found, with its line and what to say in its place', async (t) => {
  t.match(problemsOf('src/gateway/agents/session.ts', 'readonly owner: string;'), [
    /^src\/gateway\/agents\/session\.ts:2 says owner, .*: say principal/u,
  ]);
  t.match(problemsOf('src/gateway/grpc/admission.ts', '// the peer has ended'), [/says peer, .* another replica/u]);
  t.match(problemsOf('src/gateway/agents/session.ts', 'get identity() {'), [/says identity/u]);
});

test('its rooms may say it, and so may names that others gave', async (t) => {
  t.same(problemsOf('src/gateway/operations/routing.ts', '// the owner is asked'), []);
  t.same(problemsOf('src/store/sql/schema.ts', 'owner: string;'), []);
  t.same(problemsOf('src/gateway/grpc/byte-stream.ts', 'call.getPeer()'), []);
  t.same(problemsOf('src/gateway/agents/ownership-kinds.ts', 'interface Ownership {}'), []);
  t.same(problemsOf('src/protocol/reading.ts', 'error instanceof TypeError'), []);
});

test('every room exists', async (t) => {
  const rooms = words.flatMap((word) => [...word.rooms, ...word.others]);
  t.same(
    rooms.filter((room) => !existsSync(new URL(`../${room}`, import.meta.url))),
    [],
  );
});
