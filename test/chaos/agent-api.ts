/**
 * What the agents of a run answer to requests of the Kubernetes API: the id that is in the query, on as many lines as it
 * says; to an upgraded connection, what comes from it. All are written down.
 */

import type { AnswerRequest } from '../../src/tunnel/exchange.js';
import { isWatch } from '../../src/tunnel/watch-request.js';
import type { HistoryWriter } from './history.js';

export interface AgentApiOptions {
  readonly history: HistoryWriter;
  readonly agent: string;
  /** Life of the process. */
  readonly process: string;
  /** Time that an answer takes, in ms. */
  readonly latencyMs: () => number;
}

const eventMs = 50;

/** A watch gets an event every 50 ms. */
export function recordingApi({ history, agent, process, latencyMs }: AgentApiOptions): AnswerRequest {
  return (request, answer) => {
    const { searchParams } = new URL(request.target, 'http://agent');
    const id = searchParams.get('id') ?? '';
    let left = Number(searchParams.get('lines') ?? '1');
    history.append({ type: 'apiReceived', id, agent, process });
    let timer: NodeJS.Timeout | undefined;
    let answering = false;
    const ended = (): void => {
      clearTimeout(timer);
      clearInterval(timer);
      history.append({ type: 'apiEnded', id, agent, process });
    };
    if (request.upgrade !== '') {
      answer.respond({ status: 101, headers: ['Upgrade', request.upgrade] });
      return {
        onData: (data) => {
          answer.write(data);
          answer.consumed(data.length);
        },
        onEnd: () => {
          answer.end();
          ended();
        },
        onDrain: () => undefined,
        onCancelled: ended,
      };
    }
    const begin = (): void => answer.respond({ status: 200, headers: ['content-type', 'application/json'] });
    const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', id })}\n`);
    const more = (): void => {
      while (left > 0) {
        left -= 1;
        if (!answer.write(line)) return;
      }
      answer.end();
      ended();
    };
    const watches = isWatch(request);
    if (watches) {
      begin();
      timer = setInterval(() => answer.write(line), eventMs);
    }
    return {
      onData: (data) => answer.consumed(data.length),
      onEnd: () => {
        if (watches) return;
        timer = setTimeout(() => {
          begin();
          answering = true;
          more();
        }, latencyMs());
      },
      onDrain: () => {
        if (answering) more();
      },
      onCancelled: ended,
    };
  };
}
