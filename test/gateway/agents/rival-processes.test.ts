import { test } from 'tap';
import type { Logger } from '../../../src/core/logger.js';
import { silentLogger } from '../../../src/core/logger.js';
import { RivalProcesses } from '../../../src/gateway/agents/rival-processes.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import type { Ownership } from '../../../src/store/assignments/ownership.js';

const minuteMs = 60_000;

function setUp() {
  const metrics = createMetrics('here', 'test');
  const warnings: object[] = [];
  let time = 0;
  const logger: Logger = { ...silentLogger, warn: (fields) => warnings.push(fields) };
  const rivals = new RivalProcesses({ instanceId: 'here', logger, metrics, now: () => time });
  let epoch = 0;
  const last = new Map<string, Ownership>();
  /** The process registers anew with its accounts. */
  const register = (
    agentId: string,
    processId: string | undefined,
    instanceId = 'here',
    accounts = ['a', 'b'],
  ): void => {
    epoch += 1;
    const ofProcess = processId === undefined ? {} : { processId };
    for (const account of accounts) {
      const ownership = {
        account,
        version: epoch,
        assignments: [{ agentId, instanceId, epoch, caching: true, ...ofProcess }],
      };
      rivals.changed(ownership, last.get(account));
      last.set(account, ownership);
    }
  };
  const counted = async () => (await metrics.rivalProcesses.get()).values[0]?.value;
  return { rivals, warnings, register, counted, pass: (ms: number) => (time += ms) };
}

test('a process that takes its place back has a rival: counted, warned of once, and known', async (t) => {
  const { rivals, warnings, register, counted, pass } = setUp();
  register('agent', 'one');
  register('agent', 'other');
  t.notOk(rivals.has('agent'), 'one that was started anew takes the place of its predecessor');
  register('agent', 'one');
  t.ok(rivals.has('agent'));
  for (let turn = 0; turn < 50; turn += 1) register('agent', turn % 2 === 0 ? 'other' : 'one');
  t.equal(await counted(), 51, 'once for each registration, not for each account');
  t.match(warnings, [{ agentId: 'agent', processId: 'one', otherProcessId: 'other', otherInstanceId: 'here' }]);
  t.equal(warnings.length, 1);
  pass(11 * minuteMs);
  t.notOk(rivals.has('agent'), 'it is over');
});

test('connections of one process, restarts, moves and agents without a process are no fight', async (t) => {
  const { rivals, register, counted, pass } = setUp();
  for (const instanceId of ['here', 'there', 'here']) register('moving', 'one', instanceId);
  for (const processId of ['first', 'second', 'third', 'fourth']) register('restarted', processId);
  for (let turn = 0; turn < 4; turn += 1) register('old', undefined);
  register('late', 'one', 'here', ['c']);
  register('late', 'other', 'here', ['c']);
  pass(11 * minuteMs);
  register('late', 'one', 'here', ['c']);
  t.same(
    ['moving', 'restarted', 'old', 'late'].filter((agentId) => rivals.has(agentId)),
    [],
  );
  t.equal(await counted(), 0);
});

test('an instance that does not hold the stream knows of it, and does not count it', async (t) => {
  const { rivals, warnings, register, counted } = setUp();
  for (const processId of ['one', 'other', 'one']) register('agent', processId, 'there');
  t.ok(rivals.has('agent'));
  t.equal(await counted(), 0);
  t.same(warnings, []);
});
