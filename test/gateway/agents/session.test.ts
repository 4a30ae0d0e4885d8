/** One stream's states and bounds. */

import fc from 'fast-check';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import { fromBinary } from '@bufbuild/protobuf';
import { GatewayError } from '../../../src/core/errors.js';
import { Session } from '../../../src/gateway/agents/session.js';
import { GatewayMessageSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { encodeReceipt } from '../../../src/protocol/wire.js';
import { waitFor } from '../../wait.js';
import { TransportDouble } from './session-double.js';

const agent = {
  agentId: 'agent',
  zoneId: 'zone',
  version: '1',
  epoch: 1,
  dynamicAccounts: false,
  kubernetesApi: false,
};
const inFlight = {
  account: 'a',
  originatingInstanceId: 'i',
  traceparent: '',
  processedTime: 1,
  sentTime: 2,
  sentAt: 2,
  expiresAt: 10,
};

function active(limits = { maxInFlight: 3, queueLimit: 2 }): { session: Session; transport: TransportDouble } {
  const transport = new TransportDouble();
  const session = new Session(transport, limits, () => 1_000);
  session.registering();
  session.activate(agent);
  return { session, transport };
}

test('waiting, registering, active, closed', (t) => {
  const transport = new TransportDouble();
  const session = new Session(transport, { maxInFlight: 1, queueLimit: 1 }, () => 1_000);
  t.match(session, { state: 'waiting', registered: false, connectedAt: 1_000, lastHeard: 1_000 });
  t.throws(() => session.agent, /not registered/);
  session.registering();
  t.equal(session.state, 'registering');
  t.ok(transport.paused, 'nothing is read of it while its claims are written');
  session.activate(agent);
  t.match(session, { state: 'active', registered: true, agent });
  t.notOk(transport.paused);
  const error = new GatewayError('draining', 'bye');
  t.ok(session.close(error));
  t.notOk(session.close(), 'once');
  t.same(transport.ends, [error]);
  session.send(Buffer.from('late'));
  session.drained();
  t.same(transport.sent, [], 'nothing is sent after that');
  t.end();
});

test('operations in flight are bounded, and one that is sent again is not counted twice', (t) => {
  const { session } = active();
  for (const id of ['1', '2', '3']) session.deliver(id, Buffer.from(id), inFlight);
  t.throws(() => session.deliver('4', Buffer.from('4'), inFlight), {
    ...{ code: 'overloaded', message: 'agent agent has 3 operations under way; try again later' },
    details: { operationId: '4', retryAfterMs: 1_000 },
  });
  session.deliver('3', Buffer.from('3'), { ...inFlight, sentTime: 5 });
  t.equal(session.inFlightCount, 3);
  t.match(session.take('3'), { sentTime: 5 });
  t.equal(session.take('3'), undefined);
  session.deliver('4', Buffer.from('4'), inFlight);
  session.forgetExpired(9);
  t.equal(session.inFlightCount, 3);
  session.forgetExpired(10);
  t.equal(session.inFlightCount, 0);
  t.end();
});

test('frames wait while the agent does not read, in order and up to the bound', async (t) => {
  const { session, transport } = active();
  transport.writable = false;
  session.send(Buffer.from('1'));
  await turn();
  for (const id of ['2', '3']) session.deliver(id, Buffer.from(id), inFlight);
  t.same(transport.sent, ['1'], 'the write that said "enough" is the last');
  t.equal(session.queueLength, 2);
  t.throws(() => session.deliver('4', Buffer.from('4'), inFlight), {
    code: 'overloaded',
    message: 'agent agent is not reading its stream; try again later',
  });
  t.equal(session.inFlightCount, 2, 'what was not sent is not in flight');
  session.drained();
  t.same(transport.sent, ['1', '2'], 'one more, and again it is enough');
  transport.writable = true;
  session.drained();
  session.send(Buffer.from('5'));
  t.same(transport.sent, ['1', '2', '3'], 'frames of one turn go out together');
  session.send(Buffer.from('6'));
  await turn();
  t.same(transport.sent, ['1', '2', '3', '5', '6']);
});

test('a queue of large frames is full before its number is reached, but takes a single one of any size', (t) => {
  const { session, transport } = active({ maxInFlight: 100, queueLimit: 100 });
  transport.writable = false;
  session.send(Buffer.from('1'));
  session.send(Buffer.alloc(40 << 20));
  t.throws(() => session.send(Buffer.from('2')), { code: 'overloaded' });
  session.drained();
  for (let n = 0; n < 4; n += 1) session.send(Buffer.alloc(8 << 20));
  t.throws(() => session.send(Buffer.from('2')), { code: 'overloaded' });
  transport.writable = true;
  session.drained();
  t.equal(session.queueLength, 0);
  session.send(Buffer.from('2'));
  t.end();
});

test('receipts gather, and none is lost to a full queue, or to the end of the stream', async (t) => {
  const { session, transport } = active();
  const receipts = (frame: string | undefined) => {
    const { message } = fromBinary(GatewayMessageSchema, Buffer.from(frame ?? '', 'latin1'));
    return message.case === 'receipts' ? message.value.receipts.map(({ operationId }) => operationId) : [];
  };
  const replied = (operationId: string) => {
    t.ok(session.answering(), { diagnostic: false });
    session.replied(encodeReceipt(operationId, 1));
  };
  for (const id of ['1', '2']) replied(id);
  await turn();
  t.same(transport.sent, [], 'for a moment');
  await waitFor(() => transport.sent.length === 1);
  t.same(receipts(transport.sent[0]), ['1', '2']);

  transport.writable = false;
  for (const frame of ['a', 'b']) session.send(Buffer.from(frame));
  await turn();
  t.equal(session.queueLength, 1, 'the agent does not read');
  for (let n = 0; n < 1_000; n += 1) replied(`r${n}`);
  t.ok(transport.paused, 'an agent that reads no receipts is not read of either');
  transport.writable = true;
  session.drained();
  t.equal(receipts(transport.sent.at(-1)).length, 1_000);
  t.notOk(transport.paused);

  replied('last');
  session.close();
  t.same(receipts(transport.sent.at(-1)), ['last']);
});

test('an agent may have so many results at a time', (t) => {
  const { session } = active({ maxInFlight: 3, queueLimit: 2 });
  for (const id of ['2', '3', '4', '5', '6']) t.ok(session.answering(), id);
  t.notOk(session.answering(), 'it keeps this one');
  session.replied(undefined);
  t.ok(session.answering(), 'one was dealt with');
  t.end();
});

test('a newer stream takes over what the older one has under way', (t) => {
  const [older, newer] = [active().session, active().session];
  older.deliver('1', Buffer.from('1'), inFlight);
  newer.adopt(older);
  older.close();
  t.equal(older.inFlightCount, 0);
  t.same(newer.take('1'), inFlight);
  t.end();
});

test('whatever the agent reads and when, frames arrive once and in order, and the queue keeps its bound', (t) => {
  const steps = fc.array(fc.constantFrom('send', 'stall', 'read'), { maxLength: 60 });
  const property = fc.property(steps, fc.integer({ min: 1, max: 5 }), (sequence, queueLimit) => {
    const { session, transport } = active({ maxInFlight: 100, queueLimit });
    const accepted: string[] = [];
    sequence.forEach((step, index) => {
      if (step === 'stall') transport.writable = false;
      else if (step === 'read') {
        transport.writable = true;
        session.drained();
      } else {
        try {
          session.send(Buffer.from(String(index)));
          accepted.push(String(index));
        } catch {
          if (session.queueLength < queueLimit) throw new Error('refused before the bound');
        }
      }
      if (session.queueLength > queueLimit) throw new Error('over the bound');
    });
    transport.writable = true;
    session.drained();
    return transport.sent.join() === accepted.join();
  });
  t.doesNotThrow(() => fc.assert(property));
  t.end();
});
