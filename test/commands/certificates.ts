/** Certificates for tests, made by the openssl command in a directory that goes at the test's end. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificates {
  readonly directory: string;
  /** PEM files: a server's certificate followed by its authority, its key, its key under a password, the authority. */
  readonly chain: string;
  readonly key: string;
  readonly encryptedKey: string;
  readonly authority: string;
  /** Writes another file into the directory; returns its path. */
  write(name: string, content: string): string;
  read(file: string): string;
}

/**
 * @param days how long the server's certificate is valid
 * @param password of `encryptedKey`
 */
export function makeCertificates(
  t: { teardown(release: () => void): unknown },
  days = 90,
  password = 'hunter2',
): Certificates {
  const directory = mkdtempSync(join(tmpdir(), 'agent-gateway-tls-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe', timeout: 20_000 });
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '3650', '-subj', '/CN=authority');
  openssl('req', ...newKey, '-keyout', 'tls.key', '-out', 'tls.csr', '-subj', '/CN=gateway');
  const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
  openssl('x509', '-req', '-in', 'tls.csr', ...authority, '-out', 'tls.crt', '-days', String(days));
  openssl('pkcs8', '-topk8', '-in', 'tls.key', '-out', 'encrypted.key', '-passout', `pass:${password}`);
  const path = (name: string): string => join(directory, name);
  const read = (file: string): string => readFileSync(file, 'utf8');
  const write = (name: string, content: string): string => {
    writeFileSync(path(name), content);
    return path(name);
  };
  return {
    directory,
    chain: write('chain.pem', read(path('tls.crt')) + read(path('ca.crt'))),
    key: path('tls.key'),
    encryptedKey: path('encrypted.key'),
    authority: path('ca.crt'),
    write,
    read,
  };
}
