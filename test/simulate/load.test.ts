import { fromJson } from '@bufbuild/protobuf';
import { test } from 'tap';
import { OperationSchema } from '../../src/protocol/generated/ops/operations_pb.js';
import { freePort } from '../free-port.js';
import { runLoad } from '../../src/simulate/load.js';
import { requestKinds } from '../../src/simulate/request-kinds.js';
import { reportText } from '../../src/simulate/report-text.js';
import { waitFor } from '../wait.js';
import { startRestDouble, type RestAnswer } from './rest-double.js';

const never = new AbortController().signal;
const result = (status: number, processedBy = 'a'): RestAnswer => ({
  status: 200,
  body: {
    operation: { originatingClouddriverId: 'a' },
    result: {
      status,
      reason: status < 300 ? '' : 'Conflict',
      message: 'm',
      route: { processedByClouddriverId: processedBy },
    },
  },
});
const problem: RestAnswer = { status: 503, body: { type: 'urn:agent-gateway:problem:no-agent', detail: 'none' } };

test('counts what every answer was, and where it was executed', async (t) => {
  const answers = [result(200), result(201, 'b'), result(409), { status: 202, body: { operation: {} } }, problem];
  const rest = await startRestDouble((index) => answers[index % answers.length] ?? problem);
  t.teardown(() => rest.close());
  const report = await runLoad({ baseUrls: [rest.url], accounts: ['x'], operations: 50, concurrency: 4 }, never);
  t.equal(report.sent, 50);
  t.same(report.outcomes, { completed: 20, failed: 10, accepted: 10, refused: 10, unreachable: 0 });
  t.same(report.routes, { local: 20, forwarded: 10, unknown: 10 });
  t.same(report.failures, [
    { kind: '409 Conflict', count: 10, example: 'm' },
    { kind: 'HTTP 503 no-agent', count: 10, example: 'none' },
  ]);
  const { p50, p90, p99, max } = report.latencyMs;
  t.ok(p50 > 0 && p50 <= p90 && p90 <= p99 && p99 <= max);
  t.ok(Math.abs(report.throughputPerSecond - 40 / (report.durationMs / 1000)) < report.throughputPerSecond * 0.1);
  t.equal(rest.requests.length, 50);
  t.ok(rest.mostOpen() <= 4);
  t.match(
    reportText(report),
    /completed +20\n[^]*routed +20 on the instance asked, 10 forwarded[^]*10 × 409 Conflict: m/,
  );
});

test('sends every kind as valid protobuf JSON, with the headers of the contract, to all base URLs in turn', async (t) => {
  const first = await startRestDouble(() => result(200));
  const second = await startRestDouble(() => result(200));
  t.teardown(() => Promise.all([first.close(), second.close()]));
  await runLoad(
    {
      baseUrls: [first.url, second.url],
      accounts: ['x', 'y'],
      operations: 200,
      kinds: requestKinds,
      waitSeconds: 7,
      payloadBytes: 2_000,
    },
    never,
  );
  t.equal(first.requests.length, 100);
  t.equal(second.requests.length, 100);
  t.match(first.requests[0]?.headers, {
    'content-type': 'application/json',
    accept: 'application/json',
    prefer: 'wait=7',
  });
  const operations = [...first.requests, ...second.requests].map(({ operation }) =>
    fromJson(OperationSchema, operation as never),
  );
  t.equal(new Set(operations.map(({ request }) => request.case)).size, requestKinds.length);
  t.same(new Set(operations.map(({ account }) => account)), new Set(['x', 'y']));
  for (const { request } of operations) {
    if (request.case === 'deploy')
      t.ok(request.value.manifest.byteLength >= 2_000 && request.value.manifest.byteLength < 2_100);
  }
});

test('the same seed sends the same requests', async (t) => {
  const rest = await startRestDouble(() => result(200));
  t.teardown(() => rest.close());
  const accounts = Array.from({ length: 50 }, (_, index) => `account-${index}`);
  const run = async (seed: number): Promise<unknown[]> => {
    const from = rest.requests.length;
    await runLoad({ baseUrls: [rest.url], accounts, operations: 30, concurrency: 1, kinds: requestKinds, seed }, never);
    return rest.requests.slice(from).map(({ operation }) => operation);
  };
  const first = await run(1);
  t.same(await run(1), first);
  t.notSame(await run(2), first);
});

test('a rate is kept while answers are slow, up to the operations in flight', async (t) => {
  const releases: (() => void)[] = [];
  const rest = await startRestDouble(() => new Promise((resolve) => releases.push(() => resolve(result(200)))));
  t.teardown(() => rest.close());
  const load = runLoad(
    { baseUrls: [rest.url], accounts: ['x'], operations: 30, rate: 500, maximumInFlight: 20, waitSeconds: 0 },
    never,
  );
  const sentAt = performance.now();
  await waitFor(() => rest.requests.length === 20);
  await waitFor(() => performance.now() - sentAt > 100, { description: 'the last operation to be due' });
  for (const release of releases) release();
  const report = await load;
  t.equal(rest.requests[0]?.headers['prefer'], undefined);
  t.equal(report.sent, 20);
  t.equal(report.notSent, 10);
  t.equal(report.outcomes.completed, 20);
  t.ok(report.latencyMs.max >= 95, 'latency counts from when an operation was due');
});

test('a duration ends the load', async (t) => {
  const rest = await startRestDouble(() => result(200));
  t.teardown(() => rest.close());
  const report = await runLoad({ baseUrls: [rest.url], accounts: ['x'], durationMs: 200, rate: 100 }, never);
  t.ok(report.sent >= 15 && report.sent <= 21, `sent ${report.sent}`);
  t.equal(report.outcomes.completed, report.sent);
});

test('the signal drops what is in flight and still gives a report', async (t) => {
  const rest = await startRestDouble((index) => (index < 3 ? result(200) : new Promise(() => undefined)));
  t.teardown(() => rest.close());
  const controller = new AbortController();
  const load = runLoad({ baseUrls: [rest.url], accounts: ['x'], concurrency: 5 }, controller.signal);
  await waitFor(() => rest.requests.length === 8);
  controller.abort();
  const report = await load;
  t.match(report, { sent: 8, dropped: 5, outcomes: { completed: 3, unreachable: 0 } });
});

test('a gateway that is not there is counted as unreachable', async (t) => {
  const baseUrls = [`http://127.0.0.1:${await freePort()}`];
  const report = await runLoad({ baseUrls, accounts: ['x'], operations: 3, concurrency: 3 }, never);
  t.equal(report.outcomes.unreachable, 3);
  t.match(report.failures, [{ kind: 'ECONNREFUSED', count: 3 }]);
});

test('progress is told, and nothing to send to is an error', async (t) => {
  const rest = await startRestDouble(() => result(409));
  t.teardown(() => rest.close());
  const seen: number[] = [];
  await runLoad(
    {
      baseUrls: [rest.url],
      accounts: ['x'],
      durationMs: 150,
      concurrency: 1,
      progressMs: 20,
      onProgress: ({ answered, unsuccessful }) => {
        t.equal(unsuccessful, answered);
        seen.push(answered);
      },
    },
    never,
  );
  t.ok(seen.length >= 3 && (seen.at(-1) ?? 0) > 0);
  await t.rejects(runLoad({ baseUrls: [], accounts: ['x'] }, never), RangeError);
  await t.rejects(runLoad({ baseUrls: [rest.url], accounts: [] }, never), RangeError);
});
