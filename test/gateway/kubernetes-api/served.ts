/** A gateway in this process whose agent answers requests of the Kubernetes API as a test says, and clients that write bytes. */

import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { AgentConnection } from '../../../src/agent/connection.js';
import { silentLogger } from '../../../src/core/logger.js';
import type {
  TunnelAnswer,
  AnswerRequest,
  HeaderList,
  RequestEvents,
  TunnelledRequest,
} from '../../../src/tunnel/exchange.js';
import { fast } from '../../agent/set-up.js';
import { waitFor } from '../../wait.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';

/** A request as the agent got it. */
export interface Arrived {
  readonly request: TunnelledRequest;
  readonly answer: TunnelAnswer;
  body: string;
  bytes: number;
  ended: boolean;
  cancelled: string | undefined;
}

export type Respond = (arrived: Arrived) => Partial<RequestEvents> | undefined;

export interface Served extends RunningGateway {
  readonly arrived: readonly Arrived[];
  readonly connection: AgentConnection;
}

export interface ServedOptions {
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly accounts?: readonly string[];
  /** Called for each request; default: the answer "ok". What it returns replaces what is done with the body. */
  readonly respond?: Respond;
}

/** The answer "ok". */
export function ok(answer: TunnelAnswer, text = 'ok', headers: HeaderList = ['Content-Type', 'text/plain']): void {
  answer.respond({ status: 200, headers: [...headers, 'Content-Length', String(Buffer.byteLength(text))] });
  answer.write(Buffer.from(text));
  answer.end();
}

/** An agent `agent-1` that serves `accounts`; default: `a`. */
export async function startServed(t: Test, options: ServedOptions = {}): Promise<Served> {
  const { settings = {}, accounts = ['a'], respond } = options;
  const running = await startGateway(t, settings);
  const arrived: Arrived[] = [];
  const answerRequest: AnswerRequest = (request, answer) => {
    const each: Arrived = { request, answer, body: '', bytes: 0, ended: false, cancelled: undefined };
    arrived.push(each);
    const events = respond === undefined ? void ok(answer) : respond(each);
    return {
      onData: (data) => {
        each.bytes += data.length;
        if (each.bytes <= 65_536) each.body += Buffer.from(data).toString('latin1');
        answer.consumed(data.length);
      },
      onEnd: () => (each.ended = true),
      onDrain: () => undefined,
      onCancelled: (message) => (each.cancelled = message),
      ...events,
    };
  };
  const connection = await startAnswering(t, running, 'agent-1', accounts, answerRequest);
  return { ...running, arrived, connection };
}

export async function startAnswering(
  t: Test,
  { agentsAddress }: Pick<RunningGateway, 'agentsAddress'>,
  agentId: string,
  accounts: readonly string[],
  answerKubernetesApi: AnswerRequest | undefined,
): Promise<AgentConnection> {
  const connection = new AgentConnection({
    addresses: [agentsAddress],
    registration: { agentId, zoneId: '', version: '1.2.3', accounts: accounts.map((name) => ({ name })) },
    execute: () => Promise.resolve({ status: 200 }),
    logger: silentLogger,
    limits: { backoff: fast },
    ...(answerKubernetesApi === undefined ? {} : { answerKubernetesApi }),
  });
  t.teardown(() => connection.stop());
  connection.start();
  await waitFor(() => connection.state.name === 'active', { description: `${agentId} to be registered` });
  return connection;
}

/** A connection that a test writes by hand. */
export interface RawClient {
  readonly socket: Socket;
  /** Everything that came, as latin1. */
  readonly text: string;
  /** The gateway has ended its direction, or everything. */
  readonly closed: boolean;
  write(text: string): void;
  /** Waits until what came contains it. */
  until(text: string): Promise<string>;
}

export async function rawClient(t: Test, port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  let text = '';
  let closed = false;
  socket.setEncoding('latin1');
  socket.on('data', (data: string) => (text += data));
  socket.on('end', () => (closed = true));
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  await new Promise((resolve) => socket.once('connect', resolve));
  return {
    socket,
    get text() {
      return text;
    },
    get closed() {
      return closed;
    },
    write: (data) => void socket.write(data, 'latin1'),
    until: (part) =>
      waitFor(() => (text.includes(part) ? text : undefined), {
        timeoutMs: 5_000,
        description: `${JSON.stringify(part)} from the gateway`,
      }),
  };
}

/** Path of the account `a` at the gateway. */
export const prefix = '/kubernetes/accounts/a';

/** A request head of HTTP/1.1. */
export function head(path: string, ...lines: readonly string[]): string {
  return headOf('GET', path, ...lines);
}

export function headOf(method: string, path: string, ...lines: readonly string[]): string {
  return [`${method} ${prefix}${path} HTTP/1.1`, 'Host: gateway', ...lines, '', ''].join('\r\n');
}
