/** What the agents of a run answer to requests of the Kubernetes API: the id that is in the query. All are written down. */

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
    const id = new URL(request.target, 'http://agent').searchParams.get('id') ?? '';
    history.append({ type: 'apiReceived', id, agent, process });
    let timer: NodeJS.Timeout | undefined;
    const ended = (): void => {
      clearTimeout(timer);
      clearInterval(timer);
      history.append({ type: 'apiEnded', id, agent, process });
    };
    const begin = (): void => answer.respond({ status: 200, headers: ['content-type', 'application/json'] });
    const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', id })}\n`);
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
          answer.write(line);
          answer.end();
          ended();
        }, latencyMs());
      },
      onDrain: () => undefined,
      onCancelled: ended,
    };
  };
}
