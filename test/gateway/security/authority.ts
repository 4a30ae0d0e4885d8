/** A certificate authority for tests, by `openssl ca`: it issues certificates of any time, revokes them, and lists that. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Issued {
  /** PEM files. */
  readonly certificate: string;
  readonly key: string;
}

export interface IssueOptions {
  /** As openssl takes it: `/O=Acme/CN=agent`. */
  readonly subject: string;
  /** As openssl takes it: `DNS:a,URI:spiffe://b`. */
  readonly alternativeNames?: string;
  /** Days from now; default from yesterday to in 30 days. */
  readonly from?: number;
  readonly to?: number;
}

const dayMs = 86_400_000;

export class Authority {
  readonly directory: string;
  /** PEM file. */
  readonly certificate: string;
  /** PEM file; made by revoke() and list(). */
  readonly revocationList: string;
  #issued = 0;

  constructor(t: { teardown(release: () => void): unknown }, name = 'authority') {
    this.directory = mkdtempSync(join(tmpdir(), 'agent-gateway-authority-'));
    t.teardown(() => {
      rmSync(this.directory, { recursive: true, force: true });
    });
    this.certificate = this.path('ca.crt');
    this.revocationList = this.path('ca.crl');
    mkdirSync(this.path('new'));
    writeFileSync(this.path('index'), '');
    writeFileSync(this.path('serial'), '01');
    writeFileSync(
      this.path('config'),
      `[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=new\ncertificate=ca.crt\nprivate_key=ca.key\n` +
        `default_md=sha256\ndefault_crl_days=30\nunique_subject=no\npolicy=any\npreserve=yes\n` +
        `[any]\ncommonName=optional\norganizationName=optional\norganizationalUnitName=optional\ncountryName=optional\n` +
        `[req]\ndistinguished_name=name\n[name]\n`,
    );
    this.#openssl('req', '-x509', ...newKey('ca'), '-out', 'ca.crt', '-days', '30', '-subj', `/CN=${name}`);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  read(file: string): string {
    return readFileSync(file, 'utf8');
  }

  issue({ subject, alternativeNames, from = -1, to = 30 }: IssueOptions): Issued {
    this.#issued += 1;
    const name = `issued-${String(this.#issued)}`;
    this.#openssl('req', '-config', 'config', ...newKey(name), '-out', `${name}.csr`, '-subj', subject);
    writeFileSync(
      this.path(`${name}.ext`),
      `basicConstraints=CA:FALSE\n${alternativeNames === undefined ? '' : `subjectAltName=${alternativeNames}\n`}`,
    );
    const files = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.ext`];
    const dates = ['-startdate', opensslTime(from), '-enddate', opensslTime(to)];
    this.#openssl('ca', '-batch', '-notext', '-config', 'config', ...files, ...dates);
    return { certificate: this.path(`${name}.crt`), key: this.path(`${name}.key`) };
  }

  /** Writes the list of what was revoked. */
  list(): void {
    this.#openssl('ca', '-config', 'config', '-gencrl', '-out', 'ca.crl');
  }

  revoke({ certificate }: Issued): void {
    this.#openssl('ca', '-config', 'config', '-revoke', certificate);
    this.list();
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: 'pipe', timeout: 20_000 });
  }
}

function newKey(name: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
}

function opensslTime(days: number): string {
  return new Date(Date.now() + days * dayMs).toISOString().replace(/[-:T]|\.\d+/gu, '');
}
