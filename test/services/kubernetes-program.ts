/** The programs of test/kubernetes: a control plane, a node, and a controller, built once with Go into a cache outside the tree: three minutes. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { progress } from './progress.js';

const run = promisify(execFile);
const source = fileURLToPath(new URL('../kubernetes/', import.meta.url));
const buildTimeoutMs = 30 * 60_000;
const components = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'node-double', 'example-controller'] as const;

/** Paths of the programs, by name. */
export type KubernetesPrograms = Readonly<Record<(typeof components)[number], string>>;

/** @returns why it is not to be had, where Go is missing or cannot fetch the modules */
export async function kubernetesPrograms(): Promise<KubernetesPrograms | string> {
  const go = existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : 'go';
  // The Go that is here, and no other one from the network.
  const env = { ...process.env, GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };
  let toolchain: string;
  try {
    toolchain = (await run(go, ['version'], { env })).stdout;
  } catch {
    return 'the Kubernetes control plane is built with Go, which is not installed';
  }
  const hash = createHash('sha256').update(toolchain);
  const files = (await readdir(source, { recursive: true })).filter((name) => /\.(go|mod|sum)$/u.test(name)).sort();
  for (const file of files) hash.update(await readFile(join(source, file)));
  const cache = join(homedir(), '.cache', 'agent-gateway-tests');
  const directory = join(cache, `kubernetes-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(directory)) {
    try {
      await progress('building the Kubernetes control plane with Go, once (some minutes)', () =>
        build(go, env, cache, directory),
      );
    } catch (error) {
      const lines = (error instanceof Error ? error.message : String(error)).trim().split('\n');
      return `the Kubernetes control plane cannot be built: ${lines.at(-1) ?? ''}`;
    }
  }
  return Object.fromEntries(components.map((name) => [name, join(directory, name)])) as KubernetesPrograms;
}

/** Makes the directory in one step, so that a build that was cut off, or another one at the same time, leaves no half. */
async function build(go: string, env: NodeJS.ProcessEnv, cache: string, directory: string): Promise<void> {
  const version = /k8s\.io\/kubernetes (v\S+)/.exec(await readFile(join(source, 'go.mod'), 'utf8'))?.[1] ?? '';
  await mkdir(cache, { recursive: true });
  const unfinished = await mkdtemp(`${directory}.`);
  try {
    const flags = ['-trimpath', '-ldflags', `-s -w -X k8s.io/component-base/version.gitVersion=${version}`];
    const output = join(unfinished, 'kubernetes');
    await run(go, ['build', ...flags, '-o', output, '.'], { cwd: source, env, timeout: buildTimeoutMs });
    for (const name of components) await symlink('kubernetes', join(unfinished, name));
    await rename(unfinished, directory).catch((error: unknown) => {
      if (!existsSync(directory)) throw error;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}
