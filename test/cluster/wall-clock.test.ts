/** Somebody sets the wall clock, by an hour and in the middle of everything: no time-out, no order and no duration changes. */

import { test } from 'tap';
import { RawAgent } from '../gateway/raw-agent.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';
import type { Replica } from './replica.js';

const hourMs = 3_600_000;
const clockSet = 'clock set';
/** Each SIGUSR2 sets the wall clock to the next of these differences; the monotonic clock goes on. */
const differences = [-hourMs, 0];
const settableClock = `data:text/javascript,${encodeURIComponent(`
  const { now } = Date;
  const differences = ${JSON.stringify(differences)};
  let ms = 0;
  globalThis.Date = class extends Date {
    constructor(...args) { super(...(args.length === 0 ? [now() + ms] : args)); }
    static now() { return now() + ms; }
  };
  process.on('SIGUSR2', () => {
    ms = differences.shift();
    process.stdout.write(JSON.stringify({ level: 'info', msg: '${clockSet}' }) + '\\n');
  });`)}`;

async function setClock(replicas: readonly Replica[]): Promise<void> {
  const lines = ({ log }: Replica): number => log.filter(({ msg }) => msg === clockSet).length;
  for (const replica of replicas) {
    const before = lines(replica);
    replica.signal('SIGUSR2');
    await waitFor(() => lines(replica) > before, { description: `${replica.id} to set its clock` });
  }
}

interface Step {
  readonly time: string;
}

interface OperationHistory {
  readonly startTime: string;
  readonly endTime: string;
  readonly totalDurationMs: number;
  readonly finalOutcome: string;
  readonly opReceivedByClouddriver: Step;
  readonly opProcessedByClouddriver: Step;
  readonly opSentToAgent: Step;
  readonly resultReceivedFromAgent?: Step;
}

const scale = (account: string, more = {}) => ({
  ...{ account, scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } },
  ...more,
});
const get = (account: string) => ({ account, get: { object: { kind: 'Pod' } } });

test('the wall clock of all replicas is set back an hour, and forward again', async (t) => {
  const { replicas } = await startCluster(t, { size: 2, nodeArguments: [`--import=${settableClock}`] });
  const [asked, other] = replicas as [Replica, Replica];
  const agents = {
    here: await RawAgent.register(t, asked.agentsAddress, { agentId: 'here', accounts: [{ name: 'here' }] }),
    there: await RawAgent.register(t, other.agentsAddress, { agentId: 'there', accounts: [{ name: 'there' }] }),
  };
  const idle = await RawAgent.register(t, other.agentsAddress, { agentId: 'idle', accounts: [{ name: 'idle' }] });
  const all = [...Object.values(agents), idle];
  const recorded = (id: string): Promise<OperationHistory> =>
    waitFor(
      async () => {
        const record = (await asked.get(`/armory/agent/operations/${id}`)) as OperationHistory;
        return record.finalOutcome === undefined ? undefined : record;
      },
      { description: `the outcome of ${id}` },
    );
  /** Gives an operation to an agent. */
  const submit = async (agent: RawAgent, operation: object): Promise<string> => {
    const { body } = await asked.operate(operation, null);
    const { id } = body.operation as { readonly id: string };
    await agent.next('operation', (sent) => sent.id === id);
    return id;
  };

  for (const direction of ['back', 'forward']) {
    await t.test(`set ${direction}`, async (t) => {
      const underWay: { readonly id: string; readonly agent: RawAgent; readonly account: string }[] = [];
      for (const [account, agent] of Object.entries(agents))
        for (const operation of [scale(account), get(account)])
          underWay.push({ id: await submit(agent, operation), agent, account });
      const timeoutMs = 2_000;
      const unanswered = await submit(agents.here, scale('here', { timeout_ms: timeoutMs }));
      await setClock(replicas);
      const pings = all.map((agent) => agent.all('ping').length);

      for (const { id, agent } of underWay) agent.send({ case: 'result', value: { operationId: id, status: 200 } });
      for (const { id, account } of underWay) {
        const record = await recorded(id);
        t.equal(record.finalOutcome, 'completed');
        const order = [
          record.opProcessedByClouddriver,
          record.opSentToAgent,
          ...(record.resultReceivedFromAgent === undefined ? [] : [record.resultReceivedFromAgent]),
        ].map(({ time }) => time);
        // ISO 8601 times of one length have the order of their texts. Those of another replica are its own clock's.
        t.same([...order].sort(), order, `${account}: ${order.join(' ')}`);
        t.ok(record.startTime <= record.endTime, `${record.startTime} ${record.endTime}`);
        t.equal(record.totalDurationMs, Date.parse(record.endTime) - Date.parse(record.startTime));
        t.ok(record.totalDurationMs < hourMs / 2, `${account} took ${String(record.totalDurationMs)} ms`);
        if (account === 'here')
          t.ok(record.startTime <= order[0]! && order.at(-1)! <= record.endTime, `${order[0]!} ${record.endTime}`);
      }
      const late = await recorded(unanswered);
      t.equal(late.finalOutcome, 'timed out');
      t.ok(late.startTime <= late.endTime && late.totalDurationMs < hourMs / 2, String(late.totalDurationMs));
      // Timers may be a millisecond early.
      t.ok(late.totalDurationMs >= timeoutMs - 10, String(late.totalDurationMs));

      for (const [index, agent] of all.entries()) {
        await waitFor(() => agent.all('ping').length > pings[index]! + 1, { description: 'pings to go on' });
        t.equal(agent.end, undefined, 'its stream stays');
      }
    });
  }
});
