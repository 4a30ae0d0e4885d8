/**
 * kubectl as Clouddriver drives it for one account: the command lines of its KubectlJobExecutor, and what it makes of what
 * they answer (spinnaker/clouddriver, kubernetes/op/job/KubectlJobExecutor.java and security/KubernetesCredentials.java).
 */

import { requestTimeoutSeconds } from '../../src/gateway/spinnaker/account-definition.js';
import { readLog } from './kubectl-log.js';
import type { Outcome, Session } from './session.js';

/** The kinds of Clouddriver's infrastructure screens, in one `get` for each namespace. */
const cachedKinds = 'replicaSet,statefulSet,daemonSet,deployment,pod,ingress,service,networkPolicy,configMap,job';

/** "kind/name" of what a list contained, or why Clouddriver does not have it: what kubectl said, and what it logged. */
export type Listed = { readonly names: ReadonlySet<string> } | { readonly error: string; readonly log: string };

interface ListedObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

export class Clouddriver {
  readonly session: Session;

  /** @param session with a kubeconfig of the account */
  constructor(session: Session) {
    this.session = session;
  }

  get namespace(): string {
    return this.session.namespace;
  }

  namespaces(): Promise<Listed> {
    return this.#list('-o', 'json', 'get', 'namespace');
  }

  customResourceDefinitions(): Promise<Listed> {
    return this.#list('-o', 'json', 'get', 'customResourceDefinition.apiextensions.k8s.io');
  }

  /** The objects of a caching cycle. */
  infrastructure(): Promise<Listed> {
    return this.#list(`--namespace=${this.namespace}`, '-o', 'json', 'get', cachedKinds);
  }

  /** @param words of kubectl's command behind the namespace */
  change(...words: readonly string[]): Promise<Outcome> {
    return this.#run([`--namespace=${this.namespace}`, ...words]);
  }

  /** @param words `apply`, `replace` or `create`, and their flags; the manifest names its namespace itself */
  send(manifest: object, ...words: readonly string[]): Promise<Outcome> {
    return this.#run([...words, '-o', 'json', '-f', '-'], JSON.stringify(manifest));
  }

  async #list(...words: readonly string[]): Promise<Listed> {
    const { code, stdout, stderr } = await this.#run(['-v=8', ...words]);
    const { said, log } = readLog(stderr);
    // A list that is forbidden is taken as it is: empty, or without one of its kinds.
    if (code !== 0 && !/forbidden/iu.test(said)) return { error: said, log };
    if (said.includes('No resources found')) return { names: new Set() };
    const { items } = (stdout.length === 0 ? { items: [] } : JSON.parse(stdout.toString())) as {
      readonly items: readonly ListedObject[];
    };
    return { names: new Set(items.map(({ kind, metadata }) => `${kind}/${metadata.name}`)) };
  }

  #run(words: readonly string[], stdin = ''): Promise<Outcome> {
    const flags = [
      `--request-timeout=${String(requestTimeoutSeconds)}`,
      `--kubeconfig=${this.session.path('kubeconfig')}`,
    ];
    return this.session.start([...flags, ...words], { stdin }).ended();
  }
}
