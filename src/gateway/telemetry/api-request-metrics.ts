/** Metrics of requests of the Kubernetes API: how they went, how many are open, what they carry, what the gateway costs. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { secondsBuckets } from './buckets.js';

const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', 'upgrade'] as const;
export type ApiRequestVerb = (typeof verbs)[number] | 'other';

/**
 * Class of the answer's status; or the caller went, the answer was cut off, or the gateway itself answered: with a status
 * below 500 (`refused`), or because no answer could be had (`unavailable`).
 */
export type ApiRequestOutcome =
  '1xx' | '2xx' | '3xx' | '4xx' | '5xx' | 'cancelled' | 'broken' | 'refused' | 'unavailable';

/** A request that has ended. */
export interface ApiRequestEnd {
  /** The one that it was started with. */
  readonly verb: ApiRequestVerb;
  /** Its agent was connected here, or to another instance, or it was refused before that mattered. */
  readonly path: 'local' | 'forwarded' | 'none';
  readonly outcome: ApiRequestOutcome;
  /** Of bodies, and of the bytes of an upgraded connection. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** From the receipt of its head until the gateway had sent it on, in seconds; absent: it was not sent on. */
  readonly addedSeconds?: number | undefined;
}

export type ApiRequestMetrics = ReturnType<typeof apiRequestMetrics>['apiRequests'];

/** @param verb as RequestInfo has it @param upgrade '' for none */
export function apiRequestVerb(verb: string, upgrade: string): ApiRequestVerb {
  return upgrade === '' ? (verbs.find((known) => known === verb) ?? 'other') : 'upgrade';
}

/** Of an answer of an API server. */
export function statusOutcome(status: number): ApiRequestOutcome {
  if (status < 200) return '1xx';
  if (status < 300) return '2xx';
  if (status < 400) return '3xx';
  return status < 500 ? '4xx' : '5xx';
}

/** Of an answer of the gateway itself. */
export function refusalOutcome(status: number): ApiRequestOutcome {
  return status < 500 ? 'refused' : 'unavailable';
}

export function apiRequestMetrics(registers: Registry[]) {
  const requests = new Counter({
    name: 'agent_gateway_kubernetes_requests_total',
    help: 'Requests of the Kubernetes API that callers sent to this instance and that have ended, by verb, path (local, forwarded, none) and outcome: class of the status (2xx), cancelled (the caller went), broken (the answer was cut off), refused (by the gateway, with a status below 500), unavailable (the gateway answered 5xx: no agent, say).',
    labelNames: ['verb', 'path', 'outcome'],
    registers,
  });
  const open = new Gauge({
    name: 'agent_gateway_kubernetes_requests_open',
    help: 'Requests of the Kubernetes API under way at this instance, by kind (request, watch, upgrade).',
    labelNames: ['kind'],
    registers,
  });
  const bytes = new Counter({
    name: 'agent_gateway_kubernetes_bytes_total',
    help: 'Bytes of the bodies and upgraded connections of ended requests of the Kubernetes API, by direction (request, response).',
    labelNames: ['direction'],
    registers,
  });
  const added = new Histogram({
    name: 'agent_gateway_kubernetes_added_seconds',
    help: 'Time from receipt of the head of a request of the Kubernetes API until this instance had sent it on, by path.',
    labelNames: ['path'],
    buckets: [0.0001, 0.00025, 0.0005, ...secondsBuckets],
    registers,
  });
  // Looked up once: they are needed for each request.
  const openOf = { request: open.labels('request'), watch: open.labels('watch'), upgrade: open.labels('upgrade') };
  const sent = bytes.labels('request');
  const received = bytes.labels('response');
  const addedOf = { local: added.labels('local'), forwarded: added.labels('forwarded') };
  return {
    kubernetesTunnels: new Gauge({
      name: 'agent_gateway_kubernetes_tunnels',
      help: 'Streams over which agents serve the Kubernetes API: open while there are requests, and half a minute longer.',
      registers,
    }),
    apiRequests: {
      /** A request has come; finished() follows. */
      started(verb: ApiRequestVerb): void {
        openOf[kindOf(verb)].inc();
      },
      finished({ verb, path, outcome, requestBytes, responseBytes, addedSeconds }: ApiRequestEnd): void {
        openOf[kindOf(verb)].dec();
        requests.inc({ verb, path, outcome });
        if (requestBytes > 0) sent.inc(requestBytes);
        if (responseBytes > 0) received.inc(responseBytes);
        if (path !== 'none' && addedSeconds !== undefined) addedOf[path].observe(addedSeconds);
      },
    },
  };
}

function kindOf(verb: ApiRequestVerb): 'request' | 'watch' | 'upgrade' {
  return verb === 'watch' || verb === 'upgrade' ? verb : 'request';
}
