/** Replicas and agents fail while requests of the Kubernetes API are under way: what clients see (docs/architecture.md). */

import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { waitFor } from '../wait.js';
import { callApi, openShell, watchApi } from './api-caller.js';
import { account, atRest, noticedMs, startApiCluster as start } from './api-cluster.js';

test('the owner is killed', async (t) => {
  const { agent, roles, replicas } = await start(t);
  const { owner, entry } = roles();
  const watch = await watchApi(entry.restUrl, account, 'watch');
  const shell = await openShell(entry.restUrl, account, 'shell');
  await shell.ask('hello');
  await waitFor(() => watch.events > 2);
  const reading = callApi(entry.restUrl, account, { id: 'get', query: '&hold' });
  const writing = callApi(entry.restUrl, account, { id: 'post', query: '&hold', method: 'POST', body: 'change' });
  await Promise.all([agent.has('get'), agent.has('post')]);

  await owner.end('SIGKILL');
  const later = await Promise.all([
    callApi(entry.restUrl, account, { id: 'later-get' }),
    callApi(entry.restUrl, account, { id: 'later-post', method: 'POST', body: 'change' }),
  ]);
  t.same(
    later.map(({ status, body }) => [status, body.id ?? body.message]),
    [
      [200, 'later-get'],
      [200, 'later-post'],
    ],
    'new requests wait for the agent to come back',
  );
  t.comment(`answered after ${later.map(({ tookMs }) => tookMs.toFixed(0)).join(' and ')} ms`);
  const [got, written] = [await reading, await writing];
  t.match(got, { status: 503, retryAfter: '5' }, 'what changes nothing may be asked again');
  t.match(written, { status: 504, retryAfter: undefined }, 'a change must not be asked for again');
  t.match(written.body, { kind: 'Status', reason: 'Timeout' });
  t.equal(await watch.ended, 'between events');
  await shell.closed;
  t.same(
    ['get', 'post', 'later-get', 'later-post', 'watch', 'shell'].map((id) => agent.times(id)),
    [1, 1, 1, 1, 1, 1],
    'nothing is sent twice',
  );
  agent.release();
  await atRest(
    t,
    replicas.filter((replica) => replica !== owner),
    agent,
  );
});

test('the owner is stopped in order', async (t) => {
  const { agent, roles, replicas } = await start(t, { settings: { 'kubesvc.drain.timeoutMs': 20_000 } });
  const { owner, entry } = roles();
  const watch = await watchApi(entry.restUrl, account, 'watch');
  const shell = await openShell(entry.restUrl, account, 'shell');
  await shell.ask('hello');
  const writing = callApi(entry.restUrl, account, { id: 'post', query: '&hold', method: 'POST', body: 'change' });
  await agent.has('post');

  const ending = owner.end('SIGTERM');
  t.equal(await watch.ended, 'between events');
  const next = await watchApi(entry.restUrl, account, 'next watch'.replace(' ', '-'));
  await waitFor(() => next.events > 0, { description: 'the watch to go on elsewhere' });
  t.not(agent.replica, owner.id, 'the agent has moved');
  await shell.ask('still there');
  t.equal(owner.exitCode, null, 'the owner waits for the shell');
  agent.release();
  t.match(await writing, { status: 200, body: { id: 'post', bytes: 6 } }, 'the change is carried through');
  shell.socket.end();
  await shell.closed;
  t.equal(await ending, 0, 'then it ends');
  t.equal(agent.times('post'), 1);
  next.close();
  await atRest(
    t,
    replicas.filter((replica) => replica !== owner),
    agent,
  );
});

test('the entry is stopped in order, and another one is killed', async (t) => {
  const { agent, roles, replicas } = await start(t, { settings: { 'kubesvc.drain.timeoutMs': 20_000 } });
  const { entry } = roles();
  const watch = await watchApi(entry.restUrl, account, 'watch');
  const shell = await openShell(entry.restUrl, account, 'shell');
  await shell.ask('hello');
  const writing = callApi(entry.restUrl, account, { id: 'post', query: '&hold', method: 'POST', body: 'change' });
  await agent.has('post');
  const ending = entry.end('SIGTERM');
  t.equal(await watch.ended, 'between events');
  await shell.ask('still there');
  agent.release();
  t.match(await writing, { status: 200, body: { id: 'post' } });
  shell.socket.end();
  t.equal(await ending, 0);

  const killed = roles().entry;
  const lost = await openShell(killed.restUrl, account, 'lost-shell');
  const asking = t.rejects(callApi(killed.restUrl, account, { id: 'lost-get', query: '&hold' }));
  await agent.has('lost-get');
  await killed.end('SIGKILL');
  await asking;
  await lost.closed;
  await waitFor(() => agent.openCount === 0, { description: 'the requests of a killed entry to be cancelled' });
  await atRest(
    t,
    replicas.filter((replica) => replica !== entry && replica !== killed),
    agent,
  );
});

test('a stop does not wait for shells beyond its deadline', async (t) => {
  const { agent, roles, replicas } = await start(t, { settings: { 'kubesvc.drain.timeoutMs': 3_000 } });
  for (const role of ['entry', 'owner'] as const) {
    await agent.registered();
    const replica = roles()[role];
    const shell = await openShell(roles().entry.restUrl, account, `shell-${role}`);
    await shell.ask('hello');
    const started = performance.now();
    t.equal(await replica.end('SIGTERM'), 0, `the ${role} ends`);
    const tookMs = performance.now() - started;
    t.ok(tookMs > 2_900 && tookMs < 3_000 + 4_000, `the ${role} took ${tookMs.toFixed(0)} ms`);
    await shell.closed;
  }
  await atRest(
    t,
    replicas.filter(({ exitCode }) => exitCode === null),
    agent,
  );
});

test('a frozen owner', async (t) => {
  const { agent, roles, replicas } = await start(t);
  const { owner, entry } = roles();
  const watch = await watchApi(entry.restUrl, account, 'watch');
  const shell = await openShell(entry.restUrl, account, 'shell');
  await shell.ask('hello');
  const reading = callApi(entry.restUrl, account, { id: 'get', query: '&hold' });
  const writing = callApi(entry.restUrl, account, { id: 'post', query: '&hold', method: 'POST', body: 'change' });
  await Promise.all([agent.has('get'), agent.has('post')]);
  const frozenAt = performance.now();
  owner.signal('SIGSTOP');
  t.teardown(() => owner.signal('SIGCONT'));
  t.match(await reading, { status: 503, retryAfter: '5' });
  t.match(await writing, { status: 504, retryAfter: undefined });
  t.equal(await watch.ended, 'between events');
  await shell.closed;
  const tookMs = performance.now() - frozenAt;
  t.ok(tookMs < noticedMs, `its requests end after ${tookMs.toFixed(0)} ms`);
  await waitFor(async () => (await callApi(entry.restUrl, account, { id: 'meanwhile' })).status === 200, {
    description: 'the agent to be reached elsewhere',
  });
  owner.signal('SIGCONT');
  const again = await callApi(owner.restUrl, account, { id: 'woken' });
  t.match(again, { status: 200, body: { id: 'woken' } }, 'woken up, it forwards to the new owner');
  t.same(
    ['get', 'post', 'watch', 'shell'].map((id) => agent.times(id)),
    [1, 1, 1, 1],
    'nothing is sent twice',
  );
  agent.release();
  await atRest(t, replicas, agent);
});

test('an agent that changes replicas all the time', async (t) => {
  const { agent, replicas } = await start(
    t,
    { settings: { 'kubesvc.grpc.server.maxConnectionAgeSeconds': 1 } },
    { latencyMs: 10 },
  );
  const shell = await openShell(replicas[0]?.restUrl ?? '', account, 'shell');
  const failures: string[] = [];
  const wrong: string[] = [];
  const asking: Promise<void>[] = [];
  const moves = agent.replicas.length;
  const started = performance.now();
  for (let number = 0; performance.now() - started < 10_000; number += 1) {
    const replica = replicas[number % replicas.length];
    const id = `request-${String(number)}`;
    const method = number % 4 === 0 ? 'POST' : 'GET';
    const body = method === 'POST' ? { body: 'change' } : {};
    asking.push(
      callApi(replica?.restUrl ?? '', account, { id, method, ...body }).then(
        (reply) => {
          if (reply.status !== 200)
            failures.push(`${id} ${method} ${String(reply.status)}: ${reply.body.message ?? ''}`);
          else if (reply.body.id !== id) wrong.push(`${id} got ${String(reply.body.id)}`);
        },
        (error: unknown) => void failures.push(`${id} ${method} ${String(error)}`),
      ),
    );
    if (number % 2 === 0) await delay(10 - ((performance.now() - started) % 10));
  }
  await Promise.all(asking);
  const moved = agent.replicas.length - moves;
  t.ok(moved >= 4, `it moved ${String(moved)} times during ${String(asking.length)} requests`);
  t.same(failures.slice(0, 10), [], `no request fails (${String(failures.length)})`);
  t.same(wrong, [], 'no answer is mixed up');
  const twice = new Set<string>();
  const seen = new Set<string>();
  for (const { id } of agent.received) {
    if (seen.has(id) && id !== 'first') twice.add(id);
    seen.add(id);
  }
  t.same([...twice], [], 'nothing is sent twice');
  await shell.ask('still there');
  shell.socket.end();
  await shell.closed;
  await atRest(t, replicas, agent);
});
