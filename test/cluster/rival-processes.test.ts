/**
 * Two processes with one agent id, which throw each other out again and again: an operation is done by one of them at
 * most, and has one outcome. The agents do as they are told, so that it is the gateway that keeps them apart.
 */

import { t as root, test } from 'tap';
import { AgentConnection } from '../../src/agent/connection.js';
import { OperationRunner } from '../../src/agent/operation-runner.js';
import { silentLogger } from '../../src/core/logger.js';
import { waitFor } from '../wait.js';
import { startCluster, type Cluster } from './cluster.js';

const operations = 115;
const callers = 12;
const operationMs = 200;
const backoff = { initialMs: 250, maximumMs: 400, multiplier: 1, jitter: 0.2 };
const limits = { backoff, refusedBackoff: backoff };

// What agents do by themselves against it is taken from them.
const { accept } = OperationRunner.prototype;
OperationRunner.prototype.accept = function (this: OperationRunner, operation, via): void {
  accept.call(this, { ...operation, boundEpoch: 0n, boundProcessId: '' }, via);
};

const scale = (account: string) => ({
  account,
  scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 },
  timeoutMs: 4_000,
});

interface Listed {
  readonly agentId: string;
  readonly rivalProcesses?: boolean;
}

interface Rivals {
  readonly executed: readonly { readonly process: number; readonly id: string }[];
  readonly registrations: number;
  /** Whether each replica's list of agents says that there are two. */
  readonly marked: readonly boolean[];
  /** What callers were told, and of which operation. */
  readonly answers: readonly { readonly status: number; readonly id: string | undefined }[];
}

/** @param registration what both say of themselves beside their id and account */
async function fight({ replicas }: Cluster, agentId: string, registration: { processId?: string }): Promise<Rivals> {
  const executed: { process: number; id: string }[] = [];
  let registrations = 0;
  const rivals = [0, 1].map(
    (process) =>
      new AgentConnection({
        addresses: replicas.map(({ agentsAddress }) => agentsAddress),
        registration: { agentId, zoneId: 'fight', accounts: [{ name: agentId }], ...registration },
        execute: async ({ id }) => {
          executed.push({ process, id });
          await new Promise((resolve) => setTimeout(resolve, operationMs));
          return { status: 200 };
        },
        logger: silentLogger,
        limits,
        onState: ({ name }) => (registrations += name === 'active' ? 1 : 0),
      }),
  );
  for (const rival of rivals) rival.start();
  await waitFor(() => registrations >= 4, { timeoutMs: 20_000, description: 'the two to throw each other out' });
  const both = async (): Promise<boolean> => {
    await replicas[0]!.operate(scale(agentId));
    return new Set(executed.map(({ process }) => process)).size === 2;
  };
  await waitFor(both, { timeoutMs: 60_000, description: 'both to have had an operation' });
  const answers: { status: number; id: string | undefined }[] = [];
  let given = 0;
  const call = async (caller: number): Promise<void> => {
    while (given < operations) {
      given += 1;
      const { status, body } = await replicas[caller % replicas.length]!.operate(scale(agentId));
      answers.push({ status, id: (body.operation as { id: string } | undefined)?.id });
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  const marked = await Promise.all(
    replicas.map((replica) =>
      waitFor(
        async () => ((await replica.get('/armory/agents')) as readonly Listed[]).find((one) => one.agentId === agentId),
        {
          description: 'one of the two to be connected',
        },
      ),
    ),
  );
  await Promise.all(rivals.map((rival) => rival.stop()));
  return { executed, registrations, answers, marked: marked.map(({ rivalProcesses = false }) => rivalProcesses) };
}

// tap's own limit for a file is 30 s.
root.setTimeout(115_000);

test('two processes of one agent id', async (t) => {
  const cluster = await startCluster(t, { size: 2 });
  const cases: readonly (readonly [string, { processId?: string }])[] = [
    ['that say which process they are', {}],
    ['of an older version', { processId: '' }],
  ];
  for (const [name, registration] of cases) {
    await t.test(name, async (t) => {
      const agentId = name.replaceAll(' ', '-');
      const { executed, registrations, answers, marked } = await fight(cluster, agentId, registration);
      t.comment(
        `${executed.length} executions, ${registrations} registrations, ${answers.filter(({ status }) => status === 200).length} of ${answers.length} answered 200`,
      );
      t.equal(answers.length, operations);
      t.ok(new Set(executed.map(({ process }) => process)).size === 2, 'both had operations');
      const twice = executed.filter(({ id }, index) => executed.findIndex((other) => other.id === id) !== index);
      t.same(twice, [], 'no operation was executed twice');
      t.same(marked, registration.processId === '' ? [false, false] : [true, true], 'the list of agents shows it');
      const ids = new Set([...executed.map(({ id }) => id), ...answers.flatMap(({ id }) => id ?? [])]);
      for (const id of ids) {
        for (const replica of cluster.replicas) {
          await waitFor(
            async () =>
              ((await replica.get(`/armory/agent/operations/${id}`)) as { finalOutcome?: string }).finalOutcome !==
              undefined,
            { timeoutMs: 20_000, description: `${replica.id} to know the outcome of ${id}` },
          );
        }
      }
    });
  }
  const warnings = cluster.replicas.flatMap(({ log }) =>
    log.filter(({ msg, level }) => level === 'warn' && msg.startsWith('two processes use one agent id')),
  );
  t.ok(warnings.length > 0 && warnings.length <= 4, `${warnings.length} warnings: one a minute and replica at most`);
});
