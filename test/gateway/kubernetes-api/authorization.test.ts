/** Who may do what with the API of a cluster, and what nobody gets by claims, templates and headers. */

import { writeFileSync } from 'node:fs';
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { Authentication } from '../../../src/gateway/auth/authentication.js';
import type { Credentials, Identity } from '../../../src/gateway/auth/identity.js';
import { parseCallerPolicy, ruleFor, type Role } from '../../../src/gateway/auth/policy.js';
import {
  KubernetesApiAuthorization,
  type AuthorizedRequest,
  type KubernetesApiAuthorizationOptions,
} from '../../../src/gateway/kubernetes-api/authorization.js';
import { requestInfo } from '../../../src/kubernetes/request-info.js';

type Callers = KubernetesApiAuthorizationOptions['callers'];

interface Watched {
  readonly authorization: KubernetesApiAuthorization;
  readonly outcomes: string[];
  readonly lines: object[];
}

function watched(callers: Callers, anonymousRole: Role | 'none' = 'none', timeoutMs = 5_000): Watched {
  const outcomes: string[] = [];
  const lines: object[] = [];
  const logger = { warn: (fields: object) => lines.push(fields) };
  const metrics = { authentications: { inc: ({ outcome }: { outcome: string }) => outcomes.push(outcome) } };
  const options = { callers, anonymousRole, timeoutMs, logger, metrics };
  return { authorization: new KubernetesApiAuthorization(options as never), outcomes, lines };
}

/** A caller with such an identity, under such a policy. */
function callersWith(policy: string, identity: Identity): Callers {
  const rules = parseCallerPolicy(policy);
  return {
    takesCertificates: false,
    admit: () => {
      const { name, grant } = ruleFor(rules, identity);
      return Promise.resolve({ identity, principal: `policy:${name}`, grant });
    },
  };
}

interface Question {
  readonly method?: string;
  readonly target?: string;
  readonly account?: string;
  readonly upgrade?: string;
  readonly credentials?: Credentials;
}

async function ask(
  { authorization }: Watched,
  {
    method = 'GET',
    target = '/api/v1/pods',
    account = 'prod',
    upgrade = '',
    credentials = { authorization: 'Bearer x' },
  }: Question = {},
): Promise<AuthorizedRequest | GatewayError> {
  const asked = { ...requestInfo(method, target), upgrade };
  try {
    return await authorization.admit(
      { address: '127.0.0.1', ...credentials },
      account,
      asked,
      new AbortController().signal,
    );
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
}

const ann: Identity = {
  name: 'jwt:ann',
  claims: { sub: 'ann', groups: ['dev', 'ops'], email: 'ann@example.com', realm: { roles: ['a'] }, none: [], level: 3 },
};
const rule = (kubernetes: string): string => `callers: [{name: dev, match: ['claim:sub=*'], role: read${kubernetes}}]`;
const as = (written: string): string => rule(`, kubernetes: [{accounts: ['*'], access: full, as: ${written}}]`);
const askAs = (written: string, identity = ann): Promise<AuthorizedRequest | GatewayError> =>
  ask(watched(callersWith(as(written), identity)));

test('callers without credentials: by their role, at once, as the agent', async (t) => {
  const signal = new AbortController().signal;
  const pods = { ...requestInfo('DELETE', '/api/v1/namespaces/n/pods/p'), upgrade: '' };
  for (const role of ['operate', 'admin'] as const) {
    const admitted = watched(undefined, role).authorization.admit({ address: '10.0.0.1' }, 'prod', pods, signal);
    t.strictSame(admitted, { caller: 'anonymous 10.0.0.1', access: 'full', impersonation: [] }, role);
  }
  const reader = watched(undefined, 'read');
  t.match(await ask(reader, { credentials: {} }), { access: 'read' });
  t.match(await ask(reader, { credentials: {}, method: 'DELETE' }), {
    code: 'permission-denied',
    message: /anonymousRole.*"read"/u,
  });
  t.match(await ask(reader, { credentials: {}, target: '/api/v1/secrets' }), { code: 'permission-denied' });
  t.match(await ask(watched(undefined, 'none'), { credentials: {} }), { code: 'unauthenticated' });
  // Who shows credentials is judged by them, even if those without may more.
  const both = watched(callersWith(rule(''), ann), 'admin');
  t.match(await ask(both), { code: 'permission-denied' });
});

test('the first entry whose accounts match applies; none is refused with what to add', async (t) => {
  const entries = [
    "{accounts: ['prod-*'], access: read, as: agent}",
    "{accounts: ['*-eu', 'arn:aws:eks:*'], access: full, as: {user: '{claims.sub}'}}",
  ];
  const callers = watched(callersWith(rule(`, kubernetes: [${entries.join(', ')}]`), ann));
  t.strictSame(await ask(callers, { account: 'prod-eu' }), { caller: 'policy:dev', access: 'read', impersonation: [] });
  t.strictSame(await ask(callers, { account: 'test-eu', method: 'POST' }), {
    caller: 'policy:dev',
    access: 'full',
    impersonation: ['impersonate-user', 'ann'],
  });
  t.match(await ask(callers, { account: 'arn:aws:eks:eu-west-1:1:cluster/a' }), { access: 'full' });
  const denied = await ask(callers, {
    account: 'prod-eu',
    method: 'POST',
    target: '/apis/apps/v1/namespaces/n/deployments',
  });
  t.match(denied, {
    code: 'permission-denied',
    message:
      'deployments.apps is forbidden: User "jwt:ann" cannot create resource "deployments" in API group "apps" in the namespace "n" of account "prod-eu": rule dev of server.auth.policyFile gives access "read": it allows get, list and watch, not create',
  });
  t.match(await ask(callers, { account: 'prod-eu', upgrade: 'websocket' }), { code: 'permission-denied' });
  const nothing = await ask(callers, { account: 'other' });
  t.match(nothing, {
    code: 'permission-denied',
    message: /rule dev .*kubernetes: \[\{accounts: \["other"\], access: read, as: agent\}\]/u,
  });
  t.same(callers.outcomes.filter((outcome) => outcome === 'permission-denied').length, 3);
  t.equal(callers.lines.length, 1, 'one line in a minute, however many are refused');
});

test('templates make users, groups and values of what a caller has proven', async (t) => {
  const written = `{user: '{claims.email}', groups: ['team:{claims.groups}', '{claims.realm/roles}', '{claims.none}', all], extra: {Example.com/by: ['{name} {principal} {claims.level}']}}`;
  t.match(await askAs(written), {
    impersonation: [
      ...['impersonate-user', 'ann@example.com'],
      ...[
        'impersonate-group',
        'team:dev',
        'impersonate-group',
        'team:ops',
        'impersonate-group',
        'a',
        'impersonate-group',
        'all',
      ],
      ...['impersonate-extra-Example.com%2Fby', 'jwt:ann policy:dev 3'],
    ],
  });
  t.match(await askAs("{user: '{claims.phone}'}"), {
    code: 'permission-denied',
    message: /no claim for \{claims\.phone\}/u,
  });
  t.match(await askAs("{user: '{claims.realm}'}"), { code: 'permission-denied' });
  t.match(await askAs("{user: '{claims.groups}'}"), { code: 'permission-denied', message: /2 values/u });
  t.match(await askAs("{user: '{claims.none}'}"), { code: 'permission-denied' });
  t.match(await askAs("{user: '{name}'}", { name: 'token:ci', claims: { sub: '' } }), {
    impersonation: ['impersonate-user', 'token:ci'],
  });
  t.match(await askAs("{user: '{claims.__proto__}'}"), { code: 'permission-denied' });
});

test('claims make nobody a part of the cluster', async (t) => {
  const claims = (values: Record<string, unknown>): Identity => ({ name: 'jwt:x', claims: { sub: 'x', ...values } });
  const group = (name: string): Identity => claims({ groups: ['dev', name] });
  const groups = "{user: x, groups: ['{claims.groups}']}";
  // What a header would say if nobody looked: spaces at the ends are dropped by whom it reaches.
  for (const name of [
    'system:masters',
    ' system:masters',
    'system:masters ',
    'system:nodes',
    '',
    '\tsystem:masters',
    '\u00a0system:masters',
  ]) {
    t.match(await askAs(groups, group(name)), { code: 'permission-denied' }, `group "${name}"`);
  }
  const halves = "{user: x, groups: ['system:{claims.groups}']}";
  t.match(await askAs(halves, group('masters')), { code: 'permission-denied' });
  t.match(await askAs("{user: x, groups: ['sys{claims.groups}']}", claims({ groups: 'tem:masters' })), {
    code: 'permission-denied',
  });
  t.match(await askAs(groups, group('system:serviceaccounts:n')), { access: 'full' });
  t.match(await askAs(groups, group('system:authenticated')), { access: 'full' });
  t.match(await askAs("{user: x, groups: ['system:masters']}", ann), {
    impersonation: ['impersonate-user', 'x', 'impersonate-group', 'system:masters'],
  });
  for (const name of [
    'system:admin',
    'system:node:a',
    ' system:admin',
    'system:kube-controller-manager',
    'a\r\nImpersonate-Group: system:masters',
    'a\u0000',
  ]) {
    t.match(
      await askAs("{user: '{claims.sub}'}", claims({ sub: name })),
      { code: 'permission-denied' },
      `user "${name}"`,
    );
  }
  t.match(await askAs("{user: '{claims.sub}'}", claims({ sub: 'system:serviceaccount:n:a' })), { access: 'full' });
  t.match(await askAs("{user: 'system:node:{claims.sub}'}", claims({ sub: 'a' })), {
    impersonation: ['impersonate-user', 'system:node:a'],
  });
  const many = claims({ groups: Array.from({ length: 2_000 }, (_, index) => `group-${String(index)}`) });
  t.match(await askAs(groups, many), { code: 'permission-denied', message: /more than 32768/u });
});

test('a space before a group is dropped on its way: the defence against it has a reason', async (t) => {
  const requests: IncomingMessage[] = [];
  const server = createServer((incoming, answer) => {
    requests.push(incoming);
    answer.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const headers = { 'impersonate-group': ' system:masters' };
  const [answer] = (await once(request({ port, headers, agent: false }).end(), 'response')) as [IncomingMessage];
  answer.resume();
  t.equal(requests[0]?.headers['impersonate-group'], 'system:masters');
});

test('policies that cannot be meant are refused when they are read', async (t) => {
  const refused = [
    [as("{user: '{email}'}"), /callers\[0\]\.kubernetes\[0\]\.as\.user: expected text in which/u],
    [as("{user: '{claims.}'}"), /as\.user/u],
    [as("{user: '{{name}}'}"), /as\.user/u],
    [as("{user: 'a}'}"), /as\.user/u],
    [as("{user: ''}"), /as\.user/u],
    [as("{user: ' a'}"), /as\.user/u],
    [as("{user: a, groups: ['{group}']}"), /as\.groups/u],
    [as("{user: a, extra: {k: ['{x}']}}"), /as\.extra\.k/u],
    [as("{groups: ['a']}"), /callers\[0\]\.kubernetes: expected a list/u],
    [as('me'), /callers\[0\]\.kubernetes: expected a list/u],
    [rule(', kubernetes: [{accounts: [], access: read, as: agent}]'), /kubernetes: expected a list/u],
    [rule(", kubernetes: [{accounts: ['*'], access: write, as: agent}]"), /kubernetes: expected a list/u],
    [rule(", kubernetes: [{accounts: ['*'], access: read}]"), /kubernetes: expected a list/u],
  ] as const;
  for (const [text, message] of refused) t.throws(() => parseCallerPolicy(text), { message });
});

test('what authenticates callers of REST authenticates them here, and its failures are told apart', async (t) => {
  const directory = t.testdir();
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const digest = createHash('sha256').update('secret').digest('hex');
  const settings = {
    x509: { enabled: false, filters: [] },
    tokens: {
      file: file('tokens.yml', `tokens: [{name: ci, sha256: ${digest}}]`),
      jwt: { audiences: [], algorithms: ['RS256'], clockToleranceSeconds: 0 },
      kubernetes: { enabled: false, audiences: [] },
    },
    policyFile: file(
      'policy.yml',
      "callers: [{name: ci, match: ['token:ci'], role: read, kubernetes: [{accounts: ['*'], access: full, as: agent}]}]",
    ),
  };
  const callers = await Authentication.open('server.auth', settings, parseCallerPolicy, {
    now: Date.now,
    environment: {},
  });
  const known = watched(callers);
  t.match(await ask(known, { credentials: { authorization: 'Bearer secret' } }), {
    caller: 'policy:ci',
    access: 'full',
  });
  t.match(await ask(known, { credentials: { authorization: 'Bearer other' } }), { code: 'unauthenticated' });
  t.match(await ask(known, { credentials: {} }), { code: 'unauthenticated' });
  t.strictSame(known.outcomes, ['admitted', 'unauthenticated', 'unauthenticated']);

  const withoutPolicy = await Authentication.open(
    'server.auth',
    { ...settings, policyFile: undefined },
    parseCallerPolicy,
    { now: Date.now, environment: {} },
  );
  const noPolicy = await ask(watched(withoutPolicy), { credentials: { authorization: 'Bearer secret' } });
  t.match(noPolicy, { code: 'permission-denied', message: /policyFile/u });

  const hanging: Callers = {
    takesCertificates: false,
    admit: (_credentials, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      }),
  };
  // A timer that holds the process while the deadline's does not.
  const held = setTimeout(() => undefined, 60_000);
  t.match(await ask(watched(hanging, 'none', 20)), { code: 'timed-out' });
  clearTimeout(held);
  const down: Callers = {
    takesCertificates: false,
    admit: () => Promise.reject(new GatewayError('dependency-unavailable', 'down')),
  };
  t.match(await ask(watched(down)), { code: 'dependency-unavailable' });
});
