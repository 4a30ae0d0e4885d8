/**
 * The other instances, in memory: who is a member, what each was sent, and what it says to it. The real ones: the tests of
 * ../../peers/, over HTTP, and ../forwarding.test.ts, between replicas.
 */

import type { Discovery, Instance } from '../../../../src/discovery/discovery.js';
import type { Forwarder } from '../../../../src/gateway/peers/forwarder.js';
import type { ForwardAnswer } from '../../../../src/gateway/peers/forwarding.js';
import type { PeerAddress } from '../../../../src/gateway/peers/peer-address.js';

export interface SentMessage {
  readonly to: string;
  readonly bytes: Uint8Array;
}

export class OthersDouble implements Pick<Discovery, 'instance'>, Pick<Forwarder, 'operation' | 'result'> {
  readonly members = new Set(['there', 'elsewhere']);
  readonly operations: SentMessage[] = [];
  readonly results: SentMessage[] = [];
  /** What is said to the next messages, one after the other; to those that follow: taken. */
  readonly answers: (ForwardAnswer | Error)[] = [];

  instance(id: string): Instance | undefined {
    return this.members.has(id) ? { id, baseUrl: `http://${id}`, ready: true, lastUpdated: 0 } : undefined;
  }

  async operation(to: PeerAddress, bytes: Uint8Array): Promise<ForwardAnswer> {
    this.operations.push({ to: to.id, bytes });
    return this.#answer();
  }

  async result(to: PeerAddress, bytes: Uint8Array): Promise<void> {
    this.results.push({ to: to.id, bytes });
    this.#answer();
  }

  #answer(): ForwardAnswer {
    const answer = this.answers.shift() ?? {};
    if (answer instanceof Error) throw answer;
    return answer;
  }
}
