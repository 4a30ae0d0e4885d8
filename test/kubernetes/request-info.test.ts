/** What requests ask for: against the code of the API server itself, and the tricks that are refused. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { GatewayError } from '../../src/core/errors.js';
import { refusedByRead, requestInfo, type RequestInfo } from '../../src/kubernetes/request-info.js';
import { pick, seededRandom } from '../../src/simulate/random.js';

type GoAnswer = RequestInfo & { readonly refused: boolean };

const go = existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : 'go';
const hasGo = ((): boolean => {
  try {
    execFileSync(go, ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** What the API server makes of each; undefined: it refuses the request. */
function askGo(program: string, requests: readonly (readonly [string, string])[]): (RequestInfo | undefined)[] {
  const input = requests.map((request) => `${JSON.stringify(request)}\n`).join('');
  const output = execFileSync(program, {
    input,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return output
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { refused, ...info } = JSON.parse(line) as GoAnswer;
      return refused ? undefined : info;
    });
}

function ours(method: string, target: string): RequestInfo | GatewayError {
  try {
    return requestInfo(method, target);
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
}

const methods = ['GET', 'GET', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];
const words = [
  ...['api', 'apis', 'v1', 'apps', 'watch', 'proxy', 'namespaces', 'namespaces', 'default', 'pods', 'secrets', 'nodes'],
  ...['web-0', 'status', 'finalize', 'log', 'exec', 'scale', 'healthz', 'version', 'openapi', 'system:x', 'a;b', 'a=b'],
];
const tricks = [
  '',
  '.',
  '..',
  '%2e%2e',
  '%2E',
  '%252e',
  'a%2fb',
  '%5c',
  '%00',
  '%0a',
  '%',
  '%zz',
  '..;',
  '%e4',
  'a%20b',
  '#',
  'a b',
];
const queries = [
  ...[
    '',
    '?',
    '?watch',
    '?watch=',
    '?watch=true',
    '?watch=1',
    '?watch=0',
    '?watch=FALSE',
    '?watch=fal%C5%BFe',
    '?watch=no',
  ],
  ...[
    '?watch=false&watch=true',
    '?%77atch=1',
    '?watch=%zz',
    '?watch=1;',
    '?a;watch=1&watch=0',
    '?Watch=1',
    '?watch=+0',
  ],
  ...[
    '?fieldSelector=metadata.name%3Dweb',
    '?fieldSelector=metadata.name=web',
    '?fieldSelector=metadata.name==web&watch',
  ],
  ...['?fieldSelector=metadata.name!=web', '?fieldSelector=b=c,metadata.name=a', '?fieldSelector=metadata.name=a%5C,b'],
  ...[
    '?fieldSelector=metadata.name=z,metadata.name=a',
    '?fieldSelector=metadata.name=..',
    '?fieldSelector=metadata.name=a/b',
  ],
  ...[
    '?fieldSelector=nonsense',
    '?fieldSelector=metadata.name=a%5Cb',
    '?fieldSelector=metadata.name=a%5C',
    '?fieldSelector=,',
  ],
  ...[
    '?fieldSelector=metadata.name',
    '?fieldSelector=metadata.name=',
    '?fieldSelector=a=b=c',
    '?fieldSelector=%5C,metadata.name=a',
  ],
  ...['?fieldSelector=metadata.name=a;b', '?limit=500&watch=1', '?fieldSelector=metadata.name=a%5C%5C,metadata.name=b'],
];

test(
  'requests mean what they mean to the API server',
  { skip: !hasGo && 'Go is not installed', timeout: 600_000 },
  (t) => {
    const program = join(t.testdir(), 'request-info');
    const env = { ...process.env, GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };
    const cwd = fileURLToPath(new URL('.', import.meta.url));
    execFileSync(go, ['build', '-mod=readonly', '-o', program, './request-info'], { cwd, env });
    const random = seededRandom(14);
    const requests = Array.from({ length: 20_000 }, (_, index): readonly [string, string] => {
      const beginning = pick([['api', 'v1'], ['apis', 'apps', 'v1'], []], random);
      const rest = Array.from({ length: Math.floor(random() * 7) }, () => pick(words, random));
      const segments = [...beginning, ...rest];
      // One half without tricks, all of which has to be accepted.
      if (index % 2 === 1) segments.splice(Math.floor(random() * (segments.length + 1)), 0, pick(tricks, random));
      const slash = random() < 0.1 && segments.length > 0 ? '/' : '';
      return [pick(methods, random), `/${segments.join('/')}${slash}${pick(queries, random)}`];
    });
    const theirs = askGo(program, requests);
    t.equal(theirs.length, requests.length);
    let same = 0;
    const different = requests.flatMap(([method, target], index): object[] => {
      const right = theirs[index];
      const info = ours(method, target);
      const mayRefuse = right === undefined || index % 2 === 1;
      const isRight =
        info instanceof GatewayError ? mayRefuse && info.code === 'invalid-argument' : right !== undefined;
      if (!isRight) return [{ method, target, right, refused: info instanceof GatewayError }];
      if (info instanceof GatewayError) return [];
      same += 1;
      return JSON.stringify(sorted(info)) === JSON.stringify(sorted(right)) ? [] : [{ method, target, right, info }];
    });
    t.strictSame(different.slice(0, 5), []);
    t.ok(same > 10_000, 'most are read');
    t.end();
  },
);

function sorted(info: object | undefined): unknown {
  return Object.entries(info ?? {}).toSorted(([one], [other]) => (one < other ? -1 : 1));
}

test('what could be read in two ways is refused', (t) => {
  const secrets = '/api/v1/namespaces/default/secrets';
  const refused = [
    ...[
      '',
      'api/v1/pods',
      '*',
      'http://other/api/v1/secrets',
      '//other/api/v1/secrets',
      '/api//v1/secrets',
      '/api/v1/pods//',
    ],
    ...[
      '/api/v1/pods/../secrets',
      '/api/v1/pods/./x',
      '/api/v1/pods/%2e%2e/secrets',
      '/api/v1/pods/.%2E/secrets',
      '/..',
    ],
    ...['/api/v1/pods/%252e%252e/secrets', '/api/v1/pods/..;/secrets', '/api/v1/pods/..;a=b/secrets', '/%2e/api'],
    ...['/api/v1%2fsecrets', '/api/v1%2Fsecrets', '/api/v1%252fsecrets', '/api/v1\\secrets', '/api/v1/pods/a%5cb'],
    ...[
      '/api/v1/pods/a%00',
      '/api/v1/pods/a%0d%0aHost:x',
      '/api/v1/pods/a%7f',
      '/api/v1/pods/a%c2%85',
      '/api/v1/pods/a b',
    ],
    ...[
      '/api/v1/pods/%',
      '/api/v1/pods/%z0',
      '/api/v1/pods/a%2',
      '/api/v1/pods#/secrets',
      '/api/v1/pods?a#b',
      '/api/v1/pods/\u00e4',
    ],
    ...[
      '/api/v1/watch',
      '/api/v1/proxy',
      '/apis/apps/v1/watch',
      `${secrets}/x/..`,
      '/api/v1/proxy/../x',
      '/api/v1/proxy/nodes/..',
    ],
    ...[
      '/api/v1/nodes/n/proxy/../../secrets',
      '/api/v1/nodes/n/proxy/%2e%2e/secrets',
      '/api/v1/nodes/n/proxy/a%2f..%2fb',
    ],
    ...[
      '/api/v1/nodes/n/proxy/a%5c..%5cb',
      '/api/v1/nodes/n/proxy/..;/a',
      '/api/v1/nodes/n%2fproxy/a',
      '/api/v1/nodes//proxy',
    ],
    ...[
      '/api/v1/nodes/n/proxy/a%0ab',
      '/api/v1/nodes/n/proxy/%zz',
      '/api/v1/nodes/../proxy/a',
      '/api/v1/nodes/proxy/..',
    ],
  ];
  for (const target of refused) {
    const error = ours('GET', target);
    t.ok(error instanceof GatewayError && error.code === 'invalid-argument' && error.details.field === 'path', target);
  }
  const accepted = [
    ...[
      '/',
      '/api',
      '/api/',
      '/api/v1/pods/',
      '/api/v1/pods?a=b/../c',
      '/api/v1/pods?continue=a%2fb%252e',
      '/api/v1/pods/...',
    ],
    ...['/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode', '/api/v1/pods/a..b', '/api/v1/pods/a;b'],
    ...[
      '/api/v1/namespaces/n/services/http:web:80/proxy/a//b/%2fc%25d;e/',
      '/api/v1/proxy/nodes/n/a//b',
      '/api/v1/nodes/n/proxy//',
    ],
  ];
  for (const target of accepted) t.notOk(ours('GET', target) instanceof GatewayError, target);
  t.equal(requestInfo('GET', '/api/v1/nodes/%6e/proxy/a').name, 'n', 'decoded once');
  t.end();
});

test('access "read" is get, list and watch, without secrets and shells', (t) => {
  const pod = '/api/v1/namespaces/n/pods/p';
  const refused: readonly (readonly [string, string, string?])[] = [
    ...['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].map((method): [string, string] => [method, pod]),
    ...[
      '/api/v1/secrets',
      '/api/v1/secrets?watch=1',
      '/api/v1/secrets/',
      '/api/v1/%73ecrets',
      '/api/v1/namespaces/n/secrets',
      '/api/v1/namespaces/n/secrets/s',
      '/api/v1/watch/secrets',
      '/api/v1/watch/namespaces/n/secrets/s',
      '/api/v2/secrets',
      '/apis/example.com/v1/secrets',
      '/api/v1/Secrets',
      '/api/v1/*',
      '/api/v1/namespaces/n/*',
      '/api/v1/namespaces/n/secrets/s/status',
      `${pod}/exec?command=sh`,
      `${pod}/attach`,
      `${pod}/portforward`,
      `${pod}/proxy`,
      `${pod}/proxy/secrets`,
      `${pod}/ephemeralcontainers`,
      '/api/v1/nodes/n/proxy/run/n/p/c',
      '/api/v1/namespaces/n/services/s/proxy/',
      '/api/v1/proxy/nodes/n',
      '/api/v1/watch/pods/p/exec',
      '/api/v1/namespaces/n/serviceaccounts/s/token',
      '/api/v1/namespaces/n/finalize',
      '/api/v1/proxy/namespaces/n/pods/p/log',
      '/',
      '/metrics',
      '/logs/',
      '/debug/pprof/profile',
      '/.well-known/openid-configuration',
      '/apix',
      '/healthzz',
      '/openid/v1/jwks',
    ].map((target): [string, string] => ['GET', target]),
    ['POST', '/api/v1/namespaces/n/serviceaccounts/s/token'],
    ['POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'],
    ['DELETE', '/api/v1/pods'],
    ['POST', '/version'],
    ['GET', '/api/v1/pods?watch=1', 'websocket'],
    ['GET', `${pod}/log`, 'SPDY/3.1'],
  ];
  for (const [method, target, upgrade = ''] of refused) {
    t.type(refusedByRead(requestInfo(method, target), upgrade), 'string', `${method} ${target} ${upgrade}`);
  }
  const allowed = [
    ...[
      '/api',
      '/apis',
      '/api/v1',
      '/apis/apps/v1',
      '/openapi/v3/api/v1',
      '/version',
      '/version/',
      '/healthz',
      '/livez/ping',
      '/readyz',
    ],
    ...[
      pod,
      `${pod}/log?follow=true`,
      `${pod}/status`,
      '/apis/apps/v1/namespaces/n/deployments/d/scale',
      '/api/v1/pods?watch=1',
    ],
    ...[
      '/api/v1/watch/pods',
      '/api/v1/namespaces/secrets',
      '/api/v1/namespaces/secrets/pods',
      '/api/v1/pods/secrets',
      '/api/v1/nodes',
    ],
  ];
  for (const target of allowed) t.equal(refusedByRead(requestInfo('GET', target), ''), undefined, target);
  t.equal(refusedByRead(requestInfo('HEAD', pod), ''), undefined);
  t.equal(refusedByRead(requestInfo('HEAD', '/version'), ''), undefined);
  t.end();
});
