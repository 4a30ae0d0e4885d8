/** Targets behind sockets: a whole gateway that has to answer, stay alive and log no fault, whatever is sent to it. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { request } from 'undici';
import { RawAgent } from '../gateway/raw-agent.js';
import { startGateway, type RunningGateway } from '../gateway/running-gateway.js';
import { frame, frameTypes, grpcCall, grpcMessage, preface } from '../gateway/security/http2-frames.js';
import { waitFor } from '../wait.js';
import { kindOf, type Target } from './fuzz.js';

interface Teardown {
  teardown(release: () => Promise<void> | void): unknown;
}

const paths = [
  ...['POST /armory/agent/operations', 'POST /armory/agent/operationresults', 'POST /armory/agent/assignments'],
  ...['POST /armory/accounts', 'PATCH /armory/accounts', 'DELETE /armory/accounts', 'PUT /armory/accounts/dynamic'],
  ...['POST /armory/agent/operations/database', 'POST /armory/agent/x/disconnect', 'POST /armory/accounts/dynamic'],
] as const;
const contentTypes = ['application/json', 'application/x-protobuf', 'text/plain', 'application/json; charset=utf-16'];

/** The first two bytes choose route and content type, the rest is the body. */
function rest(gateway: RunningGateway): Target {
  let reported = 0;
  return {
    name: 'rest',
    run: async (input) => {
      const [method = 'POST', path = '/'] = (paths[(input[0] ?? 0) % paths.length] ?? '').split(' ');
      const response = await request(gateway.restUrl + path, {
        method: method as 'POST',
        headers: { 'content-type': contentTypes[(input[1] ?? 0) % contentTypes.length] ?? '', prefer: 'wait=0' },
        body: input.subarray(2),
        headersTimeout: 4_000,
        bodyTimeout: 4_000,
      });
      const text = await response.body.text();
      // 501: dynamic accounts without what they need; 503: no agent.
      if (response.statusCode === 500) throw new Error(`500: ${text}`);
      reported = noFaults(gateway, reported);
      return `${path} ${String(response.statusCode)} ${kindOf(text)}`;
    },
    close: () => Promise.resolve(),
  };
}

/** @throws Error when the gateway has logged a fault since */
function noFaults({ log }: RunningGateway, since: number): number {
  const fault = log.slice(since).find(({ level, msg }) => level === 'error' || /unexpected error/u.test(msg));
  if (fault !== undefined) throw new Error(`a fault was logged: ${JSON.stringify(fault)}`);
  return log.length;
}

/**
 * The first byte chooses: gRPC messages on a stream of each service, HTTP/2 frames behind a valid beginning, or bytes
 * that are nothing at all. What the gateway answers within a moment is the answer; then an honest agent has to be served.
 */
function agents(gateway: RunningGateway, honest: RawAgent): Target {
  let reported = 0;
  let answered = 0;
  return {
    name: 'agents',
    run: async (input) => {
      const rest = input.subarray(1);
      const message = grpcMessage(rest);
      const begin = preface();
      const kind = (input[0] ?? 0) % 5;
      const sent = [
        [begin, grpcCall(1, '/ops.Operations/Connect'), frame(frameTypes.data, 0, 1, message)],
        [begin, grpcCall(1, '/events.Caching/Stream'), frame(frameTypes.data, 0, 1, message)],
        [begin, grpcCall(1, '/ops.Operations/Connect'), frame(frameTypes.data, 0, 1, rest)],
        [begin, rest],
        [rest],
      ][kind] ?? [rest];
      const answer = await exchange(gateway.agentsPort, Buffer.concat(sent));
      answered += 1;
      if (answered % 20 === 0) {
        const before = honest.all('operation').length;
        const answering = gateway.operate({ account: 'honest', get: {} });
        const { id } = await waitFor(() => honest.all('operation')[before]);
        honest.frames.length = 0;
        honest.send({ case: 'result', value: { operationId: id, account: 'honest', status: 200 } });
        const { status } = await answering;
        if (status !== 200) throw new Error(`the honest agent's operation was answered with ${String(status)}`);
      }
      reported = noFaults(gateway, reported);
      return `${String(kind)} ${answer}`;
    },
    close: () => {
      honest.close();
      return Promise.resolve();
    },
  };
}

/** Sends and half-closes; gives the kinds of the frames that came back, or how it ended. */
async function exchange(port: number, bytes: Buffer): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.end(bytes);
  // To be still open after a while is an answer, too: the gateway waits for more.
  await once(socket, 'close', { signal: AbortSignal.timeout(150) }).catch(() => undefined);
  const alive = !socket.destroyed;
  socket.destroy();
  const answer = Buffer.concat(chunks);
  if (answer.toString('latin1').startsWith('HTTP/1.1')) return kindOf(answer.toString('latin1'));
  const kinds: number[] = [];
  for (let at = 0; at + 9 <= answer.length && kinds.length < 12; at += 9 + answer.readUIntBE(at, 3))
    kinds.push(answer[at + 3] ?? 0);
  return `${kinds.join('.')}${alive ? ' open' : ''}`;
}

export async function networkTargets(t: Teardown): Promise<readonly Target[]> {
  const gateway = await startGateway(t, {
    'kubesvc.grpc.server.handshakeTimeoutMs': 1_000,
    'kubesvc.dynamicAccounts.enabled': true,
  });
  const honest = await RawAgent.register(t, gateway.agentsAddress, {
    agentId: 'honest',
    accounts: [{ name: 'honest' }],
  });
  return [rest(gateway), agents(gateway, honest)];
}
