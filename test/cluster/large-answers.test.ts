/** An answer of the Kubernetes API that is larger than what replicas may hold: it flows through two of them. */

import { readFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { AgentConnection } from '../../src/agent/connection.js';
import { silentLogger } from '../../src/core/logger.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';
import type { Replica } from './replica.js';

const answerBytes = 200 << 20;
const growthBytes = 32 << 20;
const piece = Buffer.alloc(65_536);

/** An agent whose answers have as many bytes as the last part of the path says. */
async function startAgent(t: Test, address: string): Promise<void> {
  const connection = new AgentConnection({
    addresses: [address],
    registration: { agentId: 'agent', zoneId: '', version: '1.2.3', accounts: [{ name: 'a' }] },
    execute: () => Promise.resolve({ status: 200 }),
    logger: silentLogger,
    answerKubernetesApi: ({ target }, answer) => {
      let left = Number(target.split('/').at(-1));
      const send = (): void => {
        while (left > 0) {
          left -= piece.length;
          if (!answer.write(piece)) return;
        }
        answer.end();
      };
      answer.respond({ status: 200, headers: ['content-type', 'application/octet-stream'] });
      send();
      return { onData: () => undefined, onEnd: () => undefined, onDrain: send, onCancelled: () => undefined };
    },
  });
  t.teardown(() => connection.stop());
  connection.start();
  await waitFor(() => connection.state.name === 'active');
}

/** @param pauseMs after each MiB; 0: none */
async function read(replica: Replica, bytes: number, pauseMs: number): Promise<number> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${replica.restUrl}/kubernetes/accounts/a/api/v1/configmaps/${String(bytes)}`, resolve).on('error', reject);
  });
  let received = 0;
  let sincePause = 0;
  for await (const data of answer as AsyncIterable<Buffer>) {
    received += data.length;
    sincePause += data.length;
    if (pauseMs === 0 || sincePause < 1 << 20) continue;
    sincePause = 0;
    await delay(pauseMs);
  }
  return received;
}

async function residentBytes({ pid }: Replica): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/mu.exec(status)?.[1]) * 1_024;
}

/** The most that each replica takes during some work beyond what it took before, in bytes. */
async function growth(replicas: readonly Replica[], work: Promise<unknown>): Promise<readonly number[]> {
  const before = await Promise.all(replicas.map(residentBytes));
  const most = [...before];
  const sampling = new AbortController();
  const ended = work.finally(() => {
    sampling.abort();
  });
  while (!sampling.signal.aborted) {
    (await Promise.all(replicas.map(residentBytes))).forEach((bytes, index) => {
      most[index] = Math.max(most[index] ?? 0, bytes);
    });
    await delay(20);
  }
  await ended;
  return most.map((bytes, index) => bytes - (before[index] ?? 0));
}

test(
  'an answer of 200 MiB through two replicas',
  { skip: process.platform !== 'linux' && 'reads /proc' },
  async (t) => {
    const { replicas } = await startCluster(t, { size: 2, settings: { 'kubesvc.rebalance.enabled': 'false' } });
    const [entry, owner] = replicas;
    if (entry === undefined || owner === undefined) throw new Error('no replicas');
    await startAgent(t, owner.agentsAddress);
    // What the first answers make them load and compile is not this one's.
    for (let count = 0; count < 20; count += 1) t.equal(await read(entry, 2 << 20, 0), 2 << 20);
    for (const [reader, pauseMs] of Object.entries({ fast: 0, slow: 50 })) {
      let received = 0;
      const startedAt = performance.now();
      const grown = await growth(
        replicas,
        read(entry, answerBytes, pauseMs).then((bytes) => (received = bytes)),
      );
      const seconds = (performance.now() - startedAt) / 1_000;
      t.equal(received, answerBytes);
      grown.forEach((bytes, index) => {
        const text = `${reader} reader, ${index === 0 ? 'entry' : 'owner'}: ${(bytes / (1 << 20)).toFixed(1)} MiB more`;
        t.comment(`${text} in ${seconds.toFixed(1)} s`);
        t.ok(bytes < growthBytes, text);
      });
    }
  },
);
