/** Merges everything that the objects of a namespace say about one pod into one member. Pure. */

import { compareText } from '../discovery.js';
import type { Member } from '../membership.js';
import type { KubernetesObject } from '../../kubernetes/client.js';
import type { AddressType, PodAddress, Source } from './sources.js';

export interface MergeOptions {
  readonly namespace: string;
  /** Services whose name starts with this. */
  readonly serviceNamePrefix: string;
  readonly portName: string;
  readonly scheme: 'http' | 'https';
  /** The cluster's domain when pods are to be reached by their DNS names; by address otherwise. */
  readonly dnsDomain: string | undefined;
}

/** Whether the object belongs to one of the selected Services. */
export function isMeant(source: Source, object: KubernetesObject, options: MergeOptions): boolean {
  return source.serviceName(object)?.startsWith(options.serviceNamePrefix) === true;
}

/**
 * The members, one per pod, ordered by id; the order of the objects makes no difference. A pod in several Services or
 * slices is ready if all of them say so: its Ready condition is one fact, so if they differ, one is behind, or
 * publishes addresses that are not ready, and holding a pod back a moment too long is the smaller mistake. It is
 * reached by IPv4 if possible, otherwise by IPv6; of several ports, by the one whose URL comes first in the alphabet.
 */
export function mergeMembers(source: Source, objects: Iterable<KubernetesObject>, options: MergeOptions): Member[] {
  const byId = new Map<string, { ready: boolean; rank: number; baseUrl: string }>();
  for (const object of objects) {
    if (!isMeant(source, object, options)) continue;
    for (const address of source.addresses(object, options.portName)) {
      const candidate = { ready: address.ready, rank: ranks[address.type], baseUrl: baseUrl(address, options) };
      const known = byId.get(address.id);
      if (known === undefined) {
        byId.set(address.id, candidate);
        continue;
      }
      const ready = known.ready && candidate.ready;
      const better = candidate.rank - known.rank || compareText(candidate.baseUrl, known.baseUrl);
      byId.set(address.id, { ...(better < 0 ? candidate : known), ready });
    }
  }
  return [...byId]
    .map(([id, { ready, baseUrl: url }]) => ({ id, baseUrl: url, ready }))
    .sort((a, b) => compareText(a.id, b.id));
}

const ranks: Readonly<Record<AddressType, number>> = { IPv4: 0, IPv6: 1, FQDN: 2 };

/**
 * A pod's DNS name is its address with dashes: `10-0-0-7.spinnaker.pod.cluster.local` (Kubernetes DNS specification).
 */
function baseUrl({ type, address, namespace, port }: PodAddress, options: MergeOptions): string {
  let host = address;
  if (type !== 'FQDN' && options.dnsDomain !== undefined) {
    host = `${address.replace(/[.:]/g, '-')}.${namespace ?? options.namespace}.pod.${options.dnsDomain}`;
  } else if (type === 'IPv6') {
    host = `[${address}]`;
  }
  return `${options.scheme}://${host}:${String(port)}`;
}
