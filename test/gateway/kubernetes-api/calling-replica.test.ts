/** Attackers: callers who say that they are a replica, to be let in as anybody. */

import type { IncomingMessage } from 'node:http';
import { test } from 'tap';
import { CallingReplica } from '../../../src/gateway/kubernetes-api/calling-replica.js';
import { headDigest } from '../../../src/gateway/peers/api-forwarding.js';
import { forwardedByHeader } from '../../../src/gateway/peers/forwarding.js';
import { instanceTokenHeader, InstanceTokens } from '../../../src/gateway/peers/instance-tokens.js';

const secret = Buffer.alloc(32, 1);
const path = '/kubernetes/accounts/a/api/v1/namespaces/x/secrets';
const alice = ['Impersonate-User', 'alice', 'Impersonate-Group', 'dev'];

function instance(instanceId: string, secrets = [secret]): InstanceTokens {
  return new InstanceTokens({ instanceId, secrets: () => secrets, now: Date.now });
}

/** As Node.js gives it. */
function request(headers: readonly string[], method = 'GET', url = path): IncomingMessage {
  const byName: Record<string, string> = {};
  for (let index = 0; index + 1 < headers.length; index += 2)
    byName[(headers[index] ?? '').toLowerCase()] = headers[index + 1] ?? '';
  return { method, url, headers: byName, rawHeaders: headers, socket: {} } as unknown as IncomingMessage;
}

const sign = (from = instance('entry'), to = 'owner', method = 'GET'): string =>
  from.sign(to, { method, path, bodyDigest: headDigest(alice) });
const proof = (token: string, by = 'entry'): string[] => [...[forwardedByHeader, by], ...[instanceTokenHeader, token]];

test('who says to be a replica proves it', (t) => {
  const options = { tokens: instance('owner'), filters: [], callersProve: true, everybodyIsAdmin: false };
  const owner = new CallingReplica(options);
  const refuses = (name: string, attack: IncomingMessage, message: RegExp) => {
    t.ok(owner.claims(attack), `${name}: never served as a caller's`);
    t.throws(() => owner.prove(attack), { code: 'permission-denied', message }, name);
  };

  const token = sign();
  t.doesNotThrow(() => owner.prove(request([...alice, ...proof(token)])));
  refuses('a replayed token', request([...alice, ...proof(token)]), /already used/u);

  refuses('a header alone', request([...alice, forwardedByHeader, 'entry']), /did not authenticate/u);
  const changed = /issued for another caller/u;
  for (const [name, headers] of Object.entries({
    'another user': ['Impersonate-User', 'root', 'Impersonate-Group', 'dev'],
    'another group': [...alice, 'impersonate-group', 'system:masters'],
    'an extra': [...alice, 'Impersonate-Extra-Scopes', 'all'],
    'a group less': alice.slice(0, 2),
    'nobody, which is the agent itself': [],
  }))
    refuses(`a stolen token, as ${name}`, request([...headers, ...proof(sign())]), changed);
  refuses('a stolen token, another method', request([...alice, ...proof(sign())], 'DELETE'), /another call/u);
  for (const url of [`${path}?watch=1`, path.replace('accounts/a', 'accounts/b'), `${path}/`])
    refuses(`a stolen token, ${url}`, request([...alice, ...proof(sign())], 'GET', url), /another call/u);
  refuses(
    'a token for another replica',
    request([...alice, ...proof(sign(instance('entry'), 'third'))]),
    /another inst/u,
  );
  refuses(
    'another secret',
    request([...alice, ...proof(sign(instance('entry', [Buffer.alloc(32, 2)])))]),
    /not signed/u,
  );
  refuses('another sender', request([...alice, ...proof(sign(), 'third')]), /did not authenticate/u);
  refuses('no token', request([...alice, ...proof('')]), /token refused/u);

  // Where the defence is off, the attack works: then everybody is an administrator anyhow.
  const open = { ...options, tokens: undefined, callersProve: false };
  const trusting = new CallingReplica({ ...open, everybodyIsAdmin: true });
  t.doesNotThrow(() => trusting.prove(request([...alice, forwardedByHeader, 'entry'])));
  const readOnly = new CallingReplica({ ...open, everybodyIsAdmin: false });
  t.notOk(readOnly.claims(request([...alice, forwardedByHeader, 'entry'])), 'served as a caller');
  t.end();
});
