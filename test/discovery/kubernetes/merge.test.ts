/** How Endpoints and EndpointSlices become members: examples, and properties that hold for all of them. */

import { deepEqual, equal } from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'tap';
import { mergeMembers, type MergeOptions } from '../../../src/discovery/kubernetes/merge.js';
import { endpoints as endpointsSource, endpointSlices } from '../../../src/discovery/kubernetes/sources.js';
import type { KubernetesObject } from '../../../src/kubernetes/client.js';
import { endpoints, endpointSlice, type Pod } from '../../kubernetes-server/objects.js';

const options: MergeOptions = {
  namespace: 'spinnaker',
  serviceNamePrefix: 'spin-clouddriver',
  portName: 'http',
  scheme: 'http',
  dnsDomain: undefined,
};

type Members = ReturnType<typeof mergeMembers>;

function ofSlices(slices: readonly object[], changed: Partial<MergeOptions> = {}): Members {
  return mergeMembers(endpointSlices, slices as KubernetesObject[], { ...options, ...changed });
}

function ofEndpoints(objects: readonly object[], changed: Partial<MergeOptions> = {}): Members {
  return mergeMembers(endpointsSource, objects as KubernetesObject[], { ...options, ...changed });
}

const service = 'spin-clouddriver';

test('only Services with the prefix, and only the port with the name in any case', (t) => {
  const pods = [{ name: 'pod-1', ip: '10.0.0.1' }];
  const expected = [{ id: 'pod-1', baseUrl: 'http://10.0.0.1:7002', ready: true }];
  for (const [merge, make] of [
    [ofSlices, endpointSlice],
    [ofEndpoints, endpoints],
  ] as const) {
    t.same(merge([make({ service: 'spin-orca', pods })]), []);
    t.same(merge([make({ service: 'my-spin-clouddriver', pods })]), []);
    t.same(merge([make({ service: 'spin-clouddriver-rw', pods })]), expected);
    t.same(merge([make({ service, pods, ports: [{ name: 'grpc', port: 9091 }] })]), []);
    const ports = [
      { name: 'grpc', port: 9091 },
      { name: 'HTTP', port: 7002 },
    ];
    t.same(merge([make({ service, pods, ports })]), expected);
    t.same(merge([make({ service, pods, ports })], { portName: 'hTTp' }), expected);
    t.same(merge([make({ service, pods: [] })]), []);
  }
  t.end();
});

test('addresses that are not ready are members that are not ready', (t) => {
  const pods = [
    { name: 'pod-1', ip: '10.0.0.1', ready: false },
    { name: 'pod-2', ip: '10.0.0.2' },
  ];
  const expected = [
    { id: 'pod-1', baseUrl: 'http://10.0.0.1:7002', ready: false },
    { id: 'pod-2', baseUrl: 'http://10.0.0.2:7002', ready: true },
  ];
  t.same(ofEndpoints([endpoints({ service, pods })]), expected);
  t.same(ofSlices([endpointSlice({ service, pods })]), expected);
  t.end();
});

test('conditions of a slice: null means ready, terminating and not serving mean not', (t) => {
  const readyWith = (conditions: object | undefined): boolean | undefined => {
    const slice = endpointSlice({ service, pods: [] });
    const endpoint = { addresses: ['10.0.0.1'], conditions, targetRef: { name: 'pod-1' } };
    return ofSlices([{ ...slice, endpoints: [endpoint] }])[0]?.ready;
  };
  t.equal(readyWith(undefined), true);
  t.equal(readyWith({}), true);
  t.equal(readyWith({ ready: null, serving: null, terminating: null }), true);
  t.equal(readyWith({ ready: true, serving: true, terminating: false }), true);
  t.equal(readyWith({ ready: false, serving: true, terminating: true }), false, 'still serves, and ends');
  t.equal(readyWith({ ready: false }), false);
  t.equal(readyWith({ ready: true, serving: false, terminating: false }), false, 'publishNotReadyAddresses');
  t.equal(readyWith({ ready: true, serving: true, terminating: true }), false, 'publishNotReadyAddresses, ending');
  t.end();
});

test('what has no targetRef has no id, and is no member', (t) => {
  const slice = endpointSlice({ service, pods: [] });
  t.same(ofSlices([{ ...slice, endpoints: [{ addresses: ['10.0.0.1'] }] }]), []);
  const subsets = [{ addresses: [{ ip: '10.0.0.1' }], ports: [{ name: 'http', port: 7002 }] }];
  t.same(ofEndpoints([{ ...endpoints({ service, pods: [] }), subsets }]), []);
  t.end();
});

test('dual stack: IPv4 where there is one, IPv6 in brackets otherwise', (t) => {
  const v4 = endpointSlice({ service, name: 'v4', pods: [{ name: 'both', ip: '10.0.0.1' }] });
  const pods = [
    { name: 'both', ip: 'fd00::1' },
    { name: 'six', ip: 'fd00::6' },
  ];
  const v6 = endpointSlice({ service, name: 'v6', addressType: 'IPv6', pods });
  const expected = [
    { id: 'both', baseUrl: 'http://10.0.0.1:7002', ready: true },
    { id: 'six', baseUrl: 'http://[fd00::6]:7002', ready: true },
  ];
  t.same(ofSlices([v4, v6]), expected);
  t.same(ofSlices([v6, v4]), expected);
  t.match(ofEndpoints([endpoints({ service, pods: [{ name: 'six', ip: 'fd00::6' }] })]), [expected[1]]);
  t.end();
});

test('names of pods instead of addresses, and https', (t) => {
  const pods = [{ name: 'pod-1', ip: '10.0.0.7' }];
  const dns = { dnsDomain: 'cluster.local', scheme: 'https' as const };
  const expected = 'https://10-0-0-7.spinnaker.pod.cluster.local:7002';
  t.equal(ofSlices([endpointSlice({ service, pods })], dns)[0]?.baseUrl, expected);
  t.equal(ofEndpoints([endpoints({ service, pods })], dns)[0]?.baseUrl, expected);
  const six = endpointSlice({ service, addressType: 'IPv6', pods: [{ name: 'pod-6', ip: 'fd00::6' }] });
  t.equal(ofSlices([six], dns)[0]?.baseUrl, 'https://fd00--6.spinnaker.pod.cluster.local:7002');
  t.end();
});

test('dual stack with names: IPv4 also where the name of the other comes first in the alphabet', (t) => {
  const v4 = endpointSlice({ service, name: 'v4', pods: [{ name: 'both', ip: '9.0.0.1' }] });
  const v6 = endpointSlice({ service, name: 'v6', addressType: 'IPv6', pods: [{ name: 'both', ip: '2001:db8::1' }] });
  for (const slices of [
    [v4, v6],
    [v6, v4],
  ]) {
    t.equal(ofSlices(slices, { dnsDomain: 'x' })[0]?.baseUrl, 'http://9-0-0-1.spinnaker.pod.x:7002');
  }
  t.end();
});

test('a pod of several Services is ready when all say so', (t) => {
  const pod = { name: 'pod-1', ip: '10.0.0.1' };
  const one = endpointSlice({ service: 'spin-clouddriver-ro', pods: [pod] });
  const other = endpointSlice({ service: 'spin-clouddriver-rw', pods: [{ ...pod, ready: false }] });
  t.match(ofSlices([one, other]), [{ id: 'pod-1', ready: false }]);
  t.match(ofSlices([other, one]), [{ id: 'pod-1', ready: false }]);
  t.match(ofSlices([one, one]), [{ id: 'pod-1', ready: true }]);
  t.end();
});

const pod: fc.Arbitrary<Pod> = fc.record({
  name: fc.integer({ min: 0, max: 12 }).map((number) => `pod-${String(number)}`),
  ip: fc.ipV4(),
  ready: fc.boolean(),
  terminating: fc.boolean(),
});

const slice = fc.record({
  service: fc.constantFrom('spin-clouddriver', 'spin-clouddriver-rw', 'spin-orca'),
  pods: fc.uniqueArray(pod, { selector: ({ name }) => name, maxLength: 8 }),
  addressType: fc.constantFrom('IPv4' as const, 'IPv6' as const),
  ports: fc.constantFrom([{ name: 'http', port: 7002 }], [{ name: 'HTTP', port: 80 }], [{ name: 'grpc', port: 9091 }]),
});

type Shape = typeof slice extends fc.Arbitrary<infer T> ? T : never;

function toSlice(shape: Shape): ReturnType<typeof endpointSlice> {
  const { addressType } = shape;
  const pods = shape.pods.map((each) =>
    addressType === 'IPv6' ? { ...each, ip: `fd00::${each.name.slice(4)}` } : each,
  );
  return endpointSlice({ ...shape, pods });
}

test('for all slices: one entry per pod, in order, whatever the order of the slices', (t) => {
  fc.assert(
    fc.property(fc.array(slice, { maxLength: 6 }), fc.infiniteStream(fc.nat()), (shapes, random) => {
      const slices = shapes.map(toSlice);
      const members = ofSlices(slices);
      const shuffled = slices
        .map((each) => ({ each, key: random.next().value as number }))
        .sort((a, b) => a.key - b.key)
        .map(({ each }) => each);
      deepEqual(ofSlices(shuffled), members);

      // The model: pods by name, over all slices that are meant.
      const meant = shapes.filter(({ service: name, ports }) => name !== 'spin-orca' && ports[0]?.name !== 'grpc');
      const names = [...new Set(meant.flatMap(({ pods }) => pods.map(({ name }) => name)))].sort();
      deepEqual(
        members.map(({ id }) => id),
        names,
      );
      for (const { id, baseUrl, ready } of members) {
        const said = meant.flatMap((shape) =>
          shape.pods.filter(({ name }) => name === id).map((each) => ({ ...each, type: shape.addressType })),
        );
        equal(
          ready,
          said.every((each) => each.ready === true && each.terminating === false),
        );
        equal(
          new URL(baseUrl).hostname.startsWith('['),
          said.every(({ type }) => type === 'IPv6'),
        );
      }
    }),
    { numRuns: 300 },
  );
  t.end();
});

test('for all slices: cutting one in two changes nothing', (t) => {
  fc.assert(
    fc.property(fc.array(slice, { maxLength: 4 }), fc.nat(8), (shapes, at) => {
      const halves = shapes.flatMap((shape) => [
        toSlice({ ...shape, pods: shape.pods.slice(0, at) }),
        toSlice({ ...shape, pods: shape.pods.slice(at) }),
      ]);
      deepEqual(ofSlices(halves), ofSlices(shapes.map(toSlice)));
    }),
    { numRuns: 200 },
  );
  t.end();
});

test('for all pods that do not terminate: Endpoints and EndpointSlices give the same members', (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(pod, { selector: ({ name }) => name, maxLength: 10 }), (pods) => {
      const alive = pods.map((each) => ({ ...each, terminating: false }));
      deepEqual(
        ofEndpoints([endpoints({ service, pods: alive })]),
        ofSlices([endpointSlice({ service, pods: alive })]),
      );
    }),
    { numRuns: 200 },
  );
  t.end();
});
