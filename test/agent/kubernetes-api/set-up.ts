/** Asks an agent for requests of the Kubernetes API, as the gateway's stream would. */

import { createAnswerRequest } from '../../../src/agent/kubernetes-api/api-requests.js';
import type { RequestedAccount, CarriedRequestOutcome } from '../../../src/agent/kubernetes-api/open-requests.js';
import { Cluster, type ClusterOptions } from '../../../src/agent/kubernetes/cluster.js';
import { silentLogger } from '../../../src/core/logger.js';
import type { AccessLevel } from '../../../src/kubernetes/request-info.js';
import type { RequestEvents, HttpResponseHead, TunnelledRequest } from '../../../src/tunnel/exchange.js';

export interface AskOptions extends Partial<TunnelledRequest> {
  readonly body?: string;
}

export interface Asked {
  readonly events: RequestEvents;
  head: HttpResponseHead | undefined;
  text: string;
  consumed: number;
  ended: boolean;
  broken: string | undefined;
  /** False: the reader is slow. */
  takes: boolean;
  /** Value of a header of the answer. */
  header(name: string): string | undefined;
  /** The answer as JSON. */
  json(): { readonly [key: string]: unknown };
}

export interface ServedAccountOptions {
  readonly kubeconfig: string;
  readonly level?: AccessLevel;
  readonly cluster?: Partial<ClusterOptions>;
  readonly mostPerAccount?: number;
  /** Of the account; default: prod. */
  readonly name?: string;
}

type Teardown = { teardown(release: () => void | Promise<void>): unknown };

/** An agent that serves one account. */
export function serve(t: Teardown, options: ServedAccountOptions) {
  const served = options.name ?? 'prod';
  const cluster = new Cluster({
    name: served,
    credentials: { kubeconfig: options.kubeconfig },
    namespaces: [],
    omitNamespaces: [],
    onlyNamespacedResources: false,
    serverSideApply: 'allowed',
    requestTimeoutMs: 20_000,
    ...options.cluster,
  });
  t.teardown(() => cluster.close());
  const account: RequestedAccount = { cluster, apiAccess: options.level ?? 'full', closing: new AbortController() };
  const outcomes: CarriedRequestOutcome[] = [];
  let open = 0;
  const answerRequest = createAnswerRequest({
    accountOf: (name) => (name === served ? account : undefined),
    observer: {
      began: () => (open += 1),
      ended: (outcome) => {
        open -= 1;
        outcomes.push(outcome);
      },
    },
    logger: silentLogger,
    ...(options.mostPerAccount === undefined ? {} : { mostPerAccount: options.mostPerAccount }),
  });

  /** Without `body`, the request is complete. */
  function ask(request: AskOptions = {}): Asked {
    const { body, ...head } = request;
    const whole = {
      ...{ account: served, method: 'GET', target: '/version', headers: [], upgrade: '' },
      ...head,
    };
    const state: Omit<Asked, 'events'> = {
      head: undefined,
      text: '',
      consumed: 0,
      ended: false,
      broken: undefined,
      takes: true,
      header: (name) => {
        const list = state.head?.headers ?? [];
        const index = list.findIndex((text, at) => at % 2 === 0 && text.toLowerCase() === name.toLowerCase());
        return index < 0 ? undefined : list[index + 1];
      },
      json: () => JSON.parse(state.text) as { readonly [key: string]: unknown },
    };
    const events = answerRequest(whole, {
      respond: (response) => (state.head = response),
      write: (data) => {
        state.text += Buffer.from(data).toString('latin1');
        return state.takes;
      },
      end: () => (state.ended = true),
      consumed: (bytes) => (state.consumed += bytes),
      break: (message) => (state.broken = message),
    });
    if (body !== undefined) events.onData(Buffer.from(body));
    if (whole.upgrade === '' && body !== '') events.onEnd([]);
    return Object.assign(state, { events });
  }

  return { ask, answerRequest, account, outcomes, open: () => open };
}

export function kubeconfigOf(cluster: object, user: object): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
}
