/**
 * Sends one request to every instance of the cluster, this one included: a bounded number at a time, each with a
 * deadline.
 */

import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Discovery } from '../../discovery/discovery.js';
import type { Forwarder } from './forwarder.js';
import type { PeerAnswer, PeerRequest } from './peer.js';

export interface EveryInstanceOptions {
  readonly instanceId: string;
  readonly discovery: Pick<Discovery, 'instances'>;
  readonly forwarder: Pick<Forwarder, 'call'>;
}

/** The answer of one instance, or why there is none. */
export type InstanceAnswer<Answer> =
  | { readonly instanceId: string; readonly answer: Answer }
  | { readonly instanceId: string; readonly error: GatewayError };

const concurrency = 16;

export class EveryInstance {
  readonly #options: EveryInstanceOptions;

  constructor(options: EveryInstanceOptions) {
    this.#options = options;
  }

  /**
   * @param own gives the answer of this instance
   * @param read turns a response into an answer; an error that it throws becomes that instance's error
   * @returns one item for each instance, in the order of their ids
   */
  async ask<Answer>(
    request: PeerRequest,
    own: () => Promise<Answer>,
    read: (answer: PeerAnswer) => Answer,
  ): Promise<readonly InstanceAnswer<Answer>[]> {
    const { instanceId, discovery, forwarder } = this.#options;
    const answers: InstanceAnswer<Answer>[] = [];
    const put = async (id: string, answer: Promise<Answer>): Promise<void> => {
      try {
        answers.push({ instanceId: id, answer: await answer });
      } catch (error) {
        answers.push({ instanceId: id, error: toGatewayError(error) });
      }
    };
    const others = discovery.instances().filter(({ id }) => id !== instanceId);
    const work = async (): Promise<void> => {
      for (let to = others.shift(); to !== undefined; to = others.shift()) {
        await put(to.id, forwarder.call(to, request).then(read));
      }
    };
    await Promise.all([put(instanceId, own()), ...Array.from({ length: concurrency }, work)]);
    return answers.sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1));
  }
}

/** The only item of the list that an instance answers for itself. @throws GatewayError when it is something else */
export function readOwnItem({ status, body }: PeerAnswer): unknown {
  if (status === 200 && Array.isArray(body) && body.length === 1) return body[0] as unknown;
  const { detail } = (body ?? {}) as { readonly detail?: unknown };
  const why = typeof detail === 'string' ? `: ${detail.slice(0, 200)}` : '';
  throw new GatewayError('owner-unreachable', `it answered ${String(status)}${why}`);
}
