/**
 * An API server for tests with one resource type in a group, which fails requests of discovery as a test says. It answers
 * as API servers do since 1.26 (all types in two documents, if the client takes that) and before (one document for each group).
 */

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { reasonOf, statusObject } from '../../src/kubernetes/status.js';

const group = 'apiextensions.k8s.io';

export const groupPath = `/apis/${group}/v1`;

/** How an answer that would have this body fails. */
export type DiscoveryFault = (response: ServerResponse, body: string) => void;

function refusal(code: number, headers: Readonly<Record<string, string>> = {}): DiscoveryFault {
  return (response) => {
    response.writeHead(code, { 'Content-Type': 'application/json', ...headers });
    response.end(statusObject({ code, reason: reasonOf(code), message: 'not now' }));
  };
}

export const faults = {
  '503 with Retry-After': refusal(503, { 'Retry-After': '1' }),
  '503': refusal(503),
  '504': refusal(504),
  '500': refusal(500),
  '404': refusal(404),
  '403': refusal(403),
  'closed before an answer': (response: ServerResponse) => {
    response.socket?.destroy();
  },
  'cut within its answer': (response: ServerResponse, body: string) => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    response.write(body.slice(0, body.length / 2), () => response.socket?.destroy());
  },
  'an empty answer': (response: ServerResponse) => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 0 });
    response.end();
  },
} satisfies Readonly<Record<string, DiscoveryFault>>;

export type DiscoveryFaultName = keyof typeof faults;

interface ResourceType {
  readonly name: string;
  readonly singularName: string;
  readonly namespaced: boolean;
  readonly kind: string;
  readonly verbs: readonly string[];
}

const verbs = ['get', 'list'];
const core: ResourceType = { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs };
const definitions: ResourceType = {
  ...{ name: 'customresourcedefinitions', singularName: 'customresourcedefinition', namespaced: false },
  ...{ kind: 'CustomResourceDefinition', verbs },
};
const version = { groupVersion: `${group}/v1`, version: 'v1' };

/** By path. */
const documents: Readonly<Record<string, object>> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/api/v1': { kind: 'APIResourceList', groupVersion: 'v1', resources: [core] },
  '/apis': {
    ...{ kind: 'APIGroupList', apiVersion: 'v1' },
    groups: [{ name: group, versions: [version], preferredVersion: version }],
  },
  [groupPath]: {
    ...{ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: version.groupVersion, resources: [definitions] },
  },
  [`${groupPath}/${definitions.name}`]: {
    ...{ kind: `${definitions.kind}List`, apiVersion: version.groupVersion, metadata: {} },
    items: [{ kind: definitions.kind, apiVersion: version.groupVersion, metadata: { name: 'gadgets.example.com' } }],
  },
};

const aggregated: typeof documents = { '/api': aggregatedList('', core), '/apis': aggregatedList(group, definitions) };

function aggregatedList(name: string, { name: resource, singularName, namespaced, kind, verbs }: ResourceType): object {
  const type = {
    ...{ resource, responseKind: { group: name, version: 'v1', kind }, singularResource: singularName, verbs },
    scope: namespaced ? 'Namespaced' : 'Cluster',
  };
  const versions = [{ version: 'v1', freshness: 'Current', resources: [type] }];
  const items = [{ metadata: name === '' ? {} : { name }, versions }];
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

export interface DiscoveryServer {
  readonly url: string;
  /** The next requests of a path fail. */
  fail(path: string, fault: DiscoveryFault, times: number): void;
  /** How many are left that fail. */
  readonly failing: number;
}

/** @param isAggregated whether it knows the newer form of discovery */
export async function startDiscoveryServer(t: Test, isAggregated: boolean): Promise<DiscoveryServer> {
  let failing = { path: '', fault: refusal(500), times: 0 };
  const server = createServer(({ url = '', headers }, response) => {
    const [path = ''] = url.split('?');
    const newer = isAggregated && headers.accept?.includes('apidiscovery') === true ? aggregated[path] : undefined;
    const document = newer ?? documents[path];
    const body = JSON.stringify(document ?? {});
    if (path === failing.path && failing.times > 0) {
      failing.times -= 1;
      failing.fault(response, body);
      return;
    }
    const type = newer === undefined ? '' : ';g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    response.writeHead(document === undefined ? 404 : 200, { 'Content-Type': `application/json${type}` });
    response.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    fail(path, fault, times) {
      failing = { path, fault, times };
    },
    get failing() {
      return failing.times;
    },
  };
}
