/** An honest agent beside an attack: a gateway in a process of its own, its metrics, and how long operations take. */

import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { Replica } from '../../cluster/replica.js';
import { waitFor } from '../../wait.js';
import type { RawAgent } from '../raw-agent.js';
import { frameTypes } from './http2-frames.js';

/** The sum of the metric's lines that begin so; 0 where there is none. */
export async function metric({ restUrl }: Pick<Replica, 'restUrl'>, name: string): Promise<number> {
  const page = await (await fetch(`${restUrl}/metrics`)).text();
  const lines = page.split('\n').filter((line) => line.startsWith(name) && !line.startsWith('#'));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

export async function start(t: Test, settings: Readonly<Record<string, string | number>>): Promise<Replica> {
  const replica = await Replica.spawn({ id: 'gateway', settings: { 'sql.url': 'pglite:memory', ...settings } });
  t.teardown(() => replica.end());
  return replica.ready();
}

/** Operations of an honest agent, four at a time; gives the 99th percentile of how long they took, in ms. */
export async function p99(replica: Replica, agent: RawAgent, operations: number): Promise<number> {
  const took: number[] = [];
  let begun = 0;
  const one = async (): Promise<void> => {
    const startedAt = performance.now();
    const response = await fetch(`${replica.restUrl}/armory/agent/operations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=20' },
      body: JSON.stringify({ operation: { account: 'honest', get: { object: { kind: 'Pod', name: 'web' } } } }),
      signal: AbortSignal.timeout(120_000),
    });
    if (response.status !== 200) throw new Error(`an operation was answered with ${response.status}`);
    await response.text();
    took.push(performance.now() - startedAt);
  };
  const work = async (): Promise<void> => {
    while (begun < operations) {
      begun += 1;
      await one();
    }
  };
  const answering = new AbortController();
  let answered = 0;
  const answer = waitFor(
    () => {
      for (const { id } of agent.all('operation').slice(answered)) {
        agent.send({ case: 'result', value: { operationId: id, account: 'honest', status: 200 } });
        answered += 1;
      }
      return answering.signal.aborted;
    },
    { timeoutMs: 60_000, intervalMs: 1 },
  );
  await Promise.all(Array.from({ length: 4 }, work));
  answering.abort();
  await answer;
  agent.frames.length = 0;
  took.sort((a, b) => a - b);
  return took[Math.floor(took.length * 0.99)] ?? 0;
}

/** Below this many ms a delay is the noise of a machine with two cores, which the attackers and other tests use as well. */
const noiseMs = 250;
const attempts = 3;

/**
 * That an attack does not make the honest agent's 99th percentile more than twice what it is without one. Others use the
 * machine too, so that one of three attempts is enough.
 */
export async function delaysNobody(
  t: Test,
  replica: Replica,
  agent: RawAgent,
  attack: () => Promise<void>,
  operations = 100,
): Promise<void> {
  const seen: string[] = [];
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const [during] = await Promise.all([p99(replica, agent, operations), attack()]);
    if (during < noiseMs) return;
    const without = await p99(replica, agent, operations);
    if (during < 2 * without) return;
    seen.push(`${during.toFixed(0)} ms, ${without.toFixed(0)} ms without the attack`);
  }
  t.fail(`p99: ${seen.join('; ')}`);
}

export interface Attacker {
  readonly socket: Socket;
  readonly closed: boolean;
  /** Whether GOAWAY came: nothing that follows is looked at. */
  readonly saysGoodbye: boolean;
}

export async function dial(t: Test, port: number): Promise<Attacker> {
  const socket = connect(port, '127.0.0.1');
  const attacker = { socket, closed: false, saysGoodbye: false };
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  socket.on('close', () => (attacker.closed = true));
  let received = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
      attacker.saysGoodbye ||= received[3] === frameTypes.goaway;
      received = received.subarray(9 + received.readUIntBE(0, 3));
    }
  });
  await waitFor(() => socket.readyState === 'open' || attacker.closed);
  return attacker;
}

/** Writes as fast as the gateway reads, until all is sent or the gateway has closed. */
export async function flood(attacker: Attacker, bytes: Buffer, times: number): Promise<void> {
  for (let left = times; left > 0 && !attacker.closed; left -= 1) {
    if (attacker.socket.write(bytes)) continue;
    let drained = false;
    attacker.socket.once('drain', () => (drained = true));
    await waitFor(() => drained || attacker.closed, { intervalMs: 1 });
  }
}

export const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));
