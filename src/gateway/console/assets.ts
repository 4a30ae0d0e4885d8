/** The files of the page: this directory's client/, and the files of lit-html that it needs, unchanged. */

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

export interface Asset {
  /** Relative to `/console/`. */
  readonly path: string;
  readonly contentType: string;
  readonly bytes: Buffer;
  readonly etag: string;
}

const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** They import each other by relative paths, so browsers can load them as they are. */
const litFiles = ['lit-html.js', 'directive.js', 'directive-helpers.js', 'directives/repeat.js'];

export async function readAssets(): Promise<readonly Asset[]> {
  const client = new URL('client/', import.meta.url);
  const names = await readdir(client, { recursive: true });
  const own = names.filter((name) => !name.startsWith('vendor'));
  // Node.js is given the package's build for servers, which lies beside the one for browsers.
  const lit = new URL('../', import.meta.resolve('lit-html'));
  const assets = await Promise.all([
    ...own.map((name) => readAsset(name, new URL(name, client))),
    ...litFiles.map((name) => readAsset(`vendor/${name}`, new URL(name, lit))),
  ]);
  return assets.filter((asset) => asset !== undefined);
}

async function readAsset(path: string, url: URL): Promise<Asset | undefined> {
  const contentType = contentTypes[path.slice(path.lastIndexOf('.') + 1)];
  if (contentType === undefined) return undefined;
  const bytes = await readFile(url);
  return { path, contentType, bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` };
}
