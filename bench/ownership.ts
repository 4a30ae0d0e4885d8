/** Worker: the in-process mirror of ownership at its largest: bytes per account, and the time of a look-up. */

import { performance } from 'node:perf_hooks';
import { OwnershipMap } from '../src/store/mirror/ownership-map.js';
import { answerCalls } from './child.js';

export interface OwnershipOptions {
  readonly accounts: number;
  readonly agents: number;
  readonly instances: number;
}

export interface OwnershipReport {
  readonly bytesPerAccount: number;
  readonly lookUpNanoseconds: number;
}

const lookUps = 200_000;

/** A string of its own, flat, as one that was read from a socket is; a template literal is a rope of its parts. */
function fresh(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

function accountName(index: number): string {
  return fresh(`team-${index % 997}-cluster-eu-west-${index}`);
}

function measure({ accounts, agents, instances }: OwnershipOptions): OwnershipReport {
  const before = heapBytes();
  const map = new OwnershipMap();
  for (let index = 0; index < accounts; index += 1) {
    const agent = index % agents;
    const assignment = {
      agentId: fresh(`kubesvc-agent-7d9f8b6c5d-${agent}`),
      instanceId: fresh(`spin-clouddriver-6c9d7b8f4-${agent % instances}`),
      epoch: agent + 1,
      caching: true,
    };
    map.set({ account: accountName(index), version: index + 1, assignments: [assignment] });
  }
  const bytesPerAccount = (heapBytes() - before) / accounts;

  const passes: number[] = [];
  for (let pass = 0; pass < 5; pass += 1) {
    // Names as requests bring them: not the map's own strings, and not hashed yet.
    const names = Array.from({ length: lookUps }, (_, index) => accountName((index * 7_919 + pass) % accounts));
    const startedAt = performance.now();
    let found = 0;
    for (const name of names) if (map.get(name) !== undefined) found += 1;
    passes.push(((performance.now() - startedAt) * 1_000_000) / lookUps);
    if (found !== lookUps) throw new Error(`${found} of ${lookUps} accounts found`);
  }
  return { bytesPerAccount, lookUpNanoseconds: passes.sort((one, other) => one - other)[2] ?? 0 };
}

function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

answerCalls({ measure });
