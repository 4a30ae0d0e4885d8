/**
 * Process of agents: real connections whose operations take a moment, do nothing and are written down. What happens
 * here goes to a history of its own, so that it does not depend on what the gateway believes.
 *
 * Started with one argument, WorkerOptions as JSON. Says on standard output how many agents are registered.
 */

import { fromBinary } from '@bufbuild/protobuf';
import { AgentConnection } from '../../src/agent/connection.js';
import type { ConnectionState } from '../../src/agent/connection-state.js';
import { GatewayStream } from '../../src/agent/gateway-stream.js';
import { OperationRunner } from '../../src/agent/operation-runner.js';
import { silentLogger } from '../../src/core/logger.js';
import { AgentMessageSchema, type Operation } from '../../src/protocol/generated/ops/operations_pb.js';
import { seededRandom } from '../../src/simulate/random.js';
import { recordingApi } from './agent-api.js';
import { HistoryWriter } from './history.js';

export interface WorkerOptions {
  readonly directory: string;
  /** Name of this life of the process. */
  readonly process: string;
  readonly addresses: readonly string[];
  readonly agents: readonly { readonly id: string; readonly accounts: readonly string[] }[];
  /** Time that an operation takes, in ms: up to latencyMs, and one of ten up to slowMs. */
  readonly latencyMs: number;
  readonly slowMs: number;
  readonly seed: number;
  /** Part of the operations and results that come twice, and of the results that are overtaken by others; 0 to 1. */
  readonly duplicates: number;
}

const drainMs = 3_000;
const longestDelayMs = 80;

/** A network that repeats and reorders: operations come twice, results too, and some results later than others. */
function disturb(probability: number, random: () => number): void {
  const { send } = GatewayStream.prototype;
  GatewayStream.prototype.send = function (this: GatewayStream, bytes: Uint8Array): boolean {
    if (fromBinary(AgentMessageSchema, bytes).message.case !== 'result' || random() >= probability)
      return send.call(this, bytes);
    const later = (): void => {
      setTimeout(() => void send.call(this, bytes), random() * longestDelayMs);
    };
    later();
    if (random() < 0.5) later();
    return true;
  };
  const { accept } = OperationRunner.prototype;
  OperationRunner.prototype.accept = function (this: OperationRunner, ...args): void {
    accept.apply(this, args);
    if (random() < probability) setTimeout(() => accept.apply(this, args), random() * longestDelayMs);
  };
}

function run(options: WorkerOptions): void {
  const { directory, process: life, agents, addresses, latencyMs, slowMs } = options;
  const history = new HistoryWriter(directory, life);
  const random = seededRandom(options.seed);
  const registered = new Set<string>();
  if (options.duplicates > 0) disturb(options.duplicates, random);

  const execute = (agent: string) => async (operation: Operation) => {
    const mutating = operation.request.case !== 'get';
    history.append({ type: 'executed', id: operation.id, agent, process: life, mutating });
    const longest = random() < 0.1 ? slowMs : latencyMs;
    await new Promise((resolve) => setTimeout(resolve, random() * longest));
    return { status: 200, message: 'done' };
  };

  const follow = (agent: string, state: ConnectionState): void => {
    const before = registered.has(agent);
    if (state.name === 'active') {
      registered.add(agent);
      history.append({ type: 'connected', agent, process: life, replica: state.clouddriverId });
    } else if (before && state.name !== 'reconnecting') {
      registered.delete(agent);
      history.append({ type: 'connected', agent, process: life, replica: null });
    } else return;
    process.stdout.write(`${JSON.stringify({ registered: registered.size })}\n`);
  };

  const connections = agents.map(
    ({ id, accounts }) =>
      new AgentConnection({
        addresses,
        registration: {
          agentId: id,
          zoneId: 'chaos',
          version: 'chaos',
          accounts: accounts.map((name) => ({ name, properties: { kubernetesApi: 'full' } })),
        },
        execute: execute(id),
        answerKubernetesApi: recordingApi({ history, agent: id, process: life, latencyMs: () => random() * latencyMs }),
        logger: silentLogger,
        limits: {
          backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.5 },
          refusedBackoff: { initialMs: 500, maximumMs: 2_000, multiplier: 1.6, jitter: 0.5 },
          registerTimeoutMs: 5_000,
        },
        onCaching: ({ start, stop }) => {
          for (const account of stop) history.append({ type: 'caching', agent: id, process: life, account, on: false });
          for (const account of start) history.append({ type: 'caching', agent: id, process: life, account, on: true });
        },
        onState: (state) => follow(id, state),
        random,
      }),
  );
  process.once('SIGTERM', () => {
    void Promise.all(connections.map((connection) => connection.stop({ drainMs }))).then(() => process.exit(0));
  });
  for (const connection of connections) connection.start();
}

run(JSON.parse(process.argv[2] ?? '{}') as WorkerOptions);
