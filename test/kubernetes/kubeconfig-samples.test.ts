/**
 * Kubeconfigs in the form that programs give them, kubectl beside us: the same request. Written by hand, none is the output
 * of the program itself. `right` was written down first, by what each field means to client-go.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { ApiClient } from '../../src/kubernetes/client.js';
import { openAccess } from '../../src/kubernetes/credentials.js';
import { clusterTools } from '../services/helm.js';
import { startRecordingServer, type Recorded } from './recording-server.js';

const tools = await clusterTools();
const skip = { skip: typeof tools === 'string' && tools, timeout: 240_000 };

test('kubeconfigs as programs write them', skip, async (t) => {
  if (typeof tools === 'string') return;
  const api = await startRecordingServer(t);
  const { certificates, port } = api;
  const directory = t.testdir({});
  const pem = (name: string): string => certificates.read(join(certificates.directory, name));
  const base64 = (name: string): string => Buffer.from(pem(name)).toString('base64');
  for (const name of ['ca.crt', 'client.crt', 'client.key']) writeFileSync(join(directory, name), pem(name));
  // Prints what it was called with as the token.
  const version = 'client.authentication.k8s.io/v1beta1';
  const plugin = `#!/bin/sh
printf '{"kind":"ExecCredential","apiVersion":"%s","spec":{},"status":{"expirationTimestamp":"2099-01-01T00:00:00Z","token":"%s"}}' "${version}" "$(echo of "$@" "$AWS_PROFILE" | tr ' ' '.')"
`;
  for (const name of ['aws', 'gke-gcloud-auth-plugin', 'kubelogin', 'tsh']) {
    writeFileSync(join(directory, name), plugin, { mode: 0o755 });
  }
  const url = `https://127.0.0.1:${String(port)}`;
  const ca = base64('ca.crt');
  const certificate = `client-certificate-data: ${base64('client.crt')}\n    client-key-data: ${base64('client.key')}`;
  const whole = (cluster: string, user: string, more = '', name = 'x'): string => `apiVersion: v1
kind: Config
preferences: {}
clusters:
- cluster:
    ${cluster}
  name: ${name}
contexts:
- context:
    cluster: ${name}
    user: ${name}
${more}  name: ${name}
current-context: ${name}
users:
- name: ${name}
  user:
    ${user}
`;
  const trusted = `certificate-authority-data: ${ca}\n    server: ${url}`;
  const exec = (fields: string): string => `exec:\n      ${fields.trim().replaceAll('\n', '\n      ')}`;

  const samples: Readonly<Record<string, readonly [string, Partial<Recorded>]>> = {
    'kubeadm: admin.conf': [whole(trusted, certificate, '', 'kubernetes-admin@kubernetes'), { certificate: 'me' }],
    'k3s: everything is called default': [whole(trusted, certificate, '', 'default'), { certificate: 'me' }],
    'minikube: files, and extensions in cluster and context': [
      whole(
        `certificate-authority: ca.crt
    extensions:
    - extension:
        last-update: Mon, 01 Jan 2024 00:00:00 UTC
        provider: minikube.sigs.k8s.io
        version: v1.32.0
      name: cluster_info
    server: ${url}`,
        `client-certificate: ${directory}/client.crt\n    client-key: client.key`,
        '    extensions:\n    - extension: {version: v1.32.0}\n      name: context_info\n    namespace: default\n',
      ),
      { certificate: 'me' },
    ],
    'kind: folded by hand, in quotes': [
      whole(`certificate-authority-data: >-\n      ${ca}\n    server: "${url}"`, certificate, '', 'kind-kind'),
      { certificate: 'me' },
    ],
    'aws eks update-kubeconfig': [
      whole(
        trusted,
        exec(`
apiVersion: ${version}
args:
- --region
- eu-west-1
- eks
- get-token
- --cluster-name
- prod
- --output
- json
command: ./aws
env:
- name: AWS_PROFILE
  value: ops
interactiveMode: IfAvailable
provideClusterInfo: false`),
        '',
        'arn:aws:eks:eu-west-1:123456789012:cluster/prod',
      ),
      { authorization: 'Bearer of.--region.eu-west-1.eks.get-token.--cluster-name.prod.--output.json.ops' },
    ],
    'aws eks: args and env that are null': [
      whole(trusted, exec(`apiVersion: ${version}\nargs: null\ncommand: ./aws\nenv: null`)),
      { authorization: 'Bearer of.' },
    ],
    'gcloud container clusters get-credentials': [
      whole(
        trusted,
        exec(`
apiVersion: ${version}
command: ./gke-gcloud-auth-plugin
installHint: Install gke-gcloud-auth-plugin for use with kubectl by following
  https://cloud.google.com/kubernetes-engine/docs/how-to/cluster-access-for-kubectl
provideClusterInfo: true`),
        '',
        'gke_project_europe-west1-b_prod',
      ),
      { authorization: 'Bearer of.' },
    ],
    'kubelogin convert-kubeconfig (Azure)': [
      whole(
        trusted,
        exec(`
apiVersion: ${version}
args: [get-token, --environment, AzurePublicCloud, --server-id, 6dae42f8-4368-4678-94ff-3960e28e3630, --login, workloadidentity]
command: ./kubelogin
env: []
provideClusterInfo: false`),
      ),
      {
        authorization:
          'Bearer of.get-token.--environment.AzurePublicCloud.--server-id.6dae42f8-4368-4678-94ff-3960e28e3630.--login.workloadidentity.',
      },
    ],
    'az aks get-credentials --admin: certificate and token': [
      whole(trusted, `${certificate}\n    token: 0123456789abcdef`, '', 'clusterAdmin_group_prod'),
      { certificate: 'me', authorization: 'Bearer 0123456789abcdef' },
    ],
    'oc login: names with slashes and colons, insecure': [
      whole(
        `insecure-skip-tls-verify: true\n    server: ${url}`,
        'token: sha256~abc-DEF_1',
        '    namespace: shop\n',
        'shop/api-example-com:6443/jane',
      ),
      { authorization: 'Bearer sha256~abc-DEF_1' },
    ],
    'Rancher: a path, and a token with a colon': [
      whole(
        `server: "${url}/k8s/clusters/c-m-abc123"\n    certificate-authority-data: "${ca}"`,
        'token: "kubeconfig-user-abc:secret123"',
        '',
        '"prod"',
      ),
      { path: '/k8s/clusters/c-m-abc123/version', authorization: 'Bearer kubeconfig-user-abc:secret123' },
    ],
    'tsh kube login: another name for TLS': [
      whole(
        `${trusted}\n    tls-server-name: api.internal`,
        exec(`apiVersion: ${version}\nargs: [kube, credentials]\ncommand: ./tsh`),
      ),
      { servername: 'api.internal', authorization: 'Bearer of.kube.credentials.' },
    ],
    'a service account by hand: the token ends in a line feed': [
      whole(trusted, 'tokenFile: sa-token'),
      { authorization: 'Bearer of-service-account' },
    ],
    'several clusters and users, of which others are broken': [
      whole(trusted, 'token: good').replace(
        'users:\n',
        'users:\n- name: other\n  user: {exec: {apiVersion: none, command: ""}}\n- name: empty\n',
      ),
      { authorization: 'Bearer good' },
    ],
    'as JSON with tabs': [
      JSON.stringify(
        {
          ...{ kind: 'Config', apiVersion: 'v1', 'current-context': 'a' },
          clusters: [{ name: 'a', cluster: { server: url, 'certificate-authority-data': ca } }],
          contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
          users: [{ name: 'a', user: { token: 'json' } }],
        },
        undefined,
        '\t',
      ),
      { authorization: 'Bearer json' },
    ],
  };
  writeFileSync(join(directory, 'sa-token'), 'of-service-account\n');

  for (const [name, [text, right]] of Object.entries(samples)) {
    await t.test(name, async (t) => {
      const kubeconfigFile = join(directory, 'config');
      writeFileSync(kubeconfigFile, text);
      const environment = { PATH: process.env['PATH'], HOME: directory };
      api.requests.length = 0;
      await tools.kubectl(['--kubeconfig', kubeconfigFile, 'get', '--raw', '/version'], { environment });
      const { signal } = new AbortController();
      const access = await openAccess({ kubeconfigFile, environment }, signal);
      t.teardown(() => access.dispatcher.destroy());
      await new ApiClient(access, 10_000).get('/version', {}, signal);
      const [theirs, ours] = api.requests;
      t.match(theirs, right, 'kubectl');
      t.strictSame(ours, theirs, 'ours');
    });
  }
});
