/** What callers are told of something that was thrown: our words, or the reason of a connection, never JavaScript's. */

import { connect } from 'node:net';
import { once } from 'node:events';
import { test } from 'tap';
import { connectionFailure, isUnexpected, reasonFor } from '../../src/core/connection-failure.js';
import { GatewayError, TellableError } from '../../src/core/errors.js';
import { ApiError } from '../../src/kubernetes/client.js';

test('failures of connections are known by their code, also as a cause', async (t) => {
  const socket = connect(1, '127.0.0.1');
  const [error] = (await once(socket, 'error').catch((thrown: unknown) => [thrown])) as [Error];
  const expected = { code: 'ECONNREFUSED', reason: 'connection refused (ECONNREFUSED)', unsent: true };
  t.strictSame(connectionFailure(error), expected);
  t.strictSame(connectionFailure(new TypeError('fetch failed', { cause: error })), expected);
  const expired = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' });
  t.match(connectionFailure(expired), { reason: /^TLS: .*\(CERT_HAS_EXPIRED\)$/, unsent: true });
});

test('of faults in the program callers are told nothing', (t) => {
  const faults = [
    new TypeError("Cannot read properties of null (reading 'name')"),
    Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL' }),
    new SyntaxError('Unexpected token < in JSON at position 0'),
    new Error('connection refused (ECONNREFUSED)'),
    'text',
    undefined,
  ];
  for (const fault of faults) {
    t.equal(connectionFailure(fault), undefined);
    t.equal(reasonFor(fault), 'unexpected error; see the log of this instance');
    t.equal(isUnexpected(fault), true);
  }
  const told = [new GatewayError('internal', 'ours'), new TellableError('ours'), new ApiError(404, 'ours')];
  for (const error of told) {
    t.equal(reasonFor(error), 'ours');
    t.equal(isUnexpected(error), false);
  }
  const late = new DOMException('The operation was aborted due to timeout', 'TimeoutError');
  t.equal(reasonFor(late), 'no answer in time');
  t.equal(isUnexpected(late), false);
  t.end();
});
