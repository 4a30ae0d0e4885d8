/** The invariants of requests of the Kubernetes API. */

import type { Violation } from './violation.js';
import type { FinalState } from './final-state.js';
import type { ApiAnswered, ApiReceived, HistoryEvent } from './history.js';

interface ApiHistory {
  method: string;
  answered: ApiAnswered | undefined;
  readonly received: ApiReceived[];
  ended: number;
}

export function checkApi(events: readonly HistoryEvent[], final: FinalState): Violation[] {
  const violations: Violation[] = [];
  const dead = new Set(events.flatMap((event) => (event.type === 'ended' ? [event.process] : [])));
  for (const [id, { method, answered, received, ended }] of byRequest(events)) {
    const report = (rule: Violation['rule'], message: string, t?: number): void => {
      violations.push({ rule, message, subject: id, ...(t === undefined ? {} : { t }) });
    };
    if (received.length > 1) {
      const places = received.map(({ agent, process }) => `${agent} in ${process}`).join(', ');
      report('API request sent once', `sent ${received.length} times: ${places}`, received[1]?.t);
    }
    const alive = received.filter(({ process }) => !dead.has(process));
    if (alive.length > ended) report('API request ends', 'an agent still works on it');
    if (answered === undefined) continue;
    const { status, ids, retryAfter, problem, t } = answered;
    if (ids.some((other) => other !== id)) report('API answer is its own', `it got ${ids.join(', ')}`, t);
    if ((status === 200 || status === 101) && received.length === 0)
      report('API answer is its own', 'answered, and no agent has seen it', t);
    if (status === 421) report('API answer is its own', '421 is between replicas only', t);
    if (method === 'POST' && retryAfter && received.length > 0)
      report('API refusal means not sent', `${status} with Retry-After: ${problem}`, t);
    if (problem === 'TimeoutError') report('API caller not kept waiting', `no answer from ${answered.replica}`, t);
  }
  for (const { id, apiRequestsOpen = 0 } of final.replicas) {
    if (apiRequestsOpen > 0)
      violations.push({
        rule: 'API request ends',
        subject: id,
        message: `at rest it has ${apiRequestsOpen} open requests`,
      });
  }
  return violations;
}

function byRequest(events: readonly HistoryEvent[]): Map<string, ApiHistory> {
  const requests = new Map<string, ApiHistory>();
  for (const event of events) {
    if (!('id' in event) || !event.type.startsWith('api')) continue;
    const entry = requests.get(event.id) ?? { method: '', answered: undefined, received: [], ended: 0 };
    requests.set(event.id, entry);
    if (event.type === 'apiAsked') entry.method = event.method;
    else if (event.type === 'apiAnswered') entry.answered = event;
    else if (event.type === 'apiReceived') entry.received.push(event);
    else if (event.type === 'apiEnded') entry.ended += 1;
  }
  return requests;
}
