/**
 * Many agents at one replica: it takes them all, comes to rest, and comes to rest again after a stall and after a kill. The
 * numbers of the full size: `npm run bench -- --only scale`.
 */

import { test, t as root } from 'tap';
import { measureScale } from '../../bench/scale.js';

const agents = 2_000;
/** In ms; about two minutes on a machine that has nothing else to do. */
const timeoutMs = 280_000;
root.setTimeout(timeoutMs);

test('2,000 agents register, rest, and are served again after a stall of the replica and after a kill', async (t) => {
  t.setTimeout(timeoutMs);
  const report = await measureScale(
    { agents, accounts: 1, restMs: 30_000, stallMs: 20_000, stalls: ['replica'], fromSources: true },
    (text) => {
      t.comment(text);
    },
  );
  t.comment(JSON.stringify(report, undefined, 2));
  t.ok(report.statementsPerRegistration < 3, 'registrations share transactions');
  t.ok(report.refused <= agents, 'no agent is sent away again and again');
  t.ok(report.restStatementsPerSecond < 20, 'hardly a statement at rest');
  t.ok(report.restCommandsPerSecond < 20, 'hardly a command to Redis at rest');
  t.equal(report.lostLeases, 0, 'nothing lets the lease lapse');
});
