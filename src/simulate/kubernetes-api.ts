/** Answers of simulated agents to requests of the Kubernetes API. */

import type { TunnelAnswer, AnswerRequest, RequestEvents } from '../tunnel/exchange.js';
import { isWatch } from '../tunnel/watch-request.js';

const list = Buffer.from(
  JSON.stringify({
    kind: 'ConfigMapList',
    apiVersion: 'v1',
    metadata: { resourceVersion: '1' },
    items: Array.from({ length: 8 }, (_, index) => ({
      metadata: { name: `simulated-${index}`, namespace: 'default', resourceVersion: '1' },
      data: { key: 'value'.repeat(8) },
    })),
  }),
);
const event = Buffer.from(
  `${JSON.stringify({ type: 'ADDED', object: { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'simulated-0', namespace: 'default', resourceVersion: '1' } } })}\n`,
);
const json = ['content-type', 'application/json'];

/**
 * A GET gets a list of about 1 KiB, a watch one event and no end, and every other method its own body.
 * @param latencyMs before each answer
 */
export function simulatedKubernetesApi(latencyMs: number): AnswerRequest {
  return (request, answer) => {
    let timer: NodeJS.Timeout | undefined;
    const begin = (respond: () => void): void => {
      if (latencyMs > 0) timer = setTimeout(respond, latencyMs);
      else respond();
    };
    const stopped = { onCancelled: () => clearTimeout(timer) };
    if (request.method !== 'GET') return { ...echo(answer, begin), ...stopped };
    const watches = isWatch(request);
    begin(() => {
      answer.respond({ status: 200, headers: json });
      answer.write(watches ? event : list);
      if (!watches) answer.end();
    });
    const nothing = (): void => undefined;
    return { onData: (data) => answer.consumed(data.length), onEnd: nothing, onDrain: nothing, ...stopped };
  };
}

function echo(answer: TunnelAnswer, begin: (respond: () => void) => void): Omit<RequestEvents, 'onCancelled'> {
  /** Before the answer begins, and until it drains. */
  let waits = true;
  let ended = false;
  /** At most a window of them: they are consumed when they are passed on. */
  const held: Uint8Array[] = [];
  const pass = (): void => {
    while (!waits && held.length > 0) {
      const data = held.shift() as Uint8Array;
      answer.consumed(data.length);
      waits = !answer.write(data);
    }
    if (!waits && ended) answer.end();
  };
  const go = (): void => {
    waits = false;
    pass();
  };
  begin(() => {
    answer.respond({ status: 200, headers: json });
    go();
  });
  return {
    onData: (data) => {
      held.push(data);
      pass();
    },
    onEnd: () => {
      ended = true;
      pass();
    },
    onDrain: go,
  };
}
