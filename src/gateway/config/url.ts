/** URLs of databases and of Redis: converts Clouddriver's form, and hides credentials for display. */

import { isIP } from 'node:net';

const form = 'write it as mysql://HOST:PORT/DATABASE or postgresql://HOST:PORT/DATABASE';

/**
 * `jdbc:mysql://host:3306/db?useSSL=false` as `mysql://host:3306/db`: parameters belong to the Java driver. Those that
 * ask for TLS stay, for tlsDemand(). Other URLs stay as they are.
 * @returns a `warning` that names the dropped parameters, or a `problem`; neither contains a value
 */
export function databaseUrl(
  written: string,
): { readonly url: string; readonly warning: string | undefined } | { readonly problem: string } {
  const plain = written.replace(/^jdbc:/iu, '');
  if (plain.startsWith('pglite:')) return { url: plain, warning: undefined };
  const [, driver = '', authority = ''] = /^([^/?#]*):\/\/([^/?#]*)/u.exec(plain) ?? [];
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  if (/(?:^|[:-])aws(?:[:-]|$)/iu.test(driver)) return { problem: `the AWS driver for Java is not supported; ${form}` };
  if (/^(?:mysql|mariadb|postgresql):[^:]/iu.test(driver) || driver.includes('+'))
    return { problem: `load balancing and failover of the Java driver are not supported; ${form}` };
  if (/[()]/u.test(host)) return { problem: `host properties in brackets are not supported; ${form}` };
  if (host.includes(','))
    return { problem: `several hosts are not supported; name the one that accepts writes, ${form}` };
  const [base = '', query = ''] = plain.split(/\?(.*)/su);
  const kept: string[] = [];
  const dropped: string[] = [];
  for (const parameter of query.split('&').filter((each) => each !== '')) {
    const [name = '', value = ''] = parameter.split(/=(.*)/su);
    const instead = misplaced.get(name.toLowerCase());
    if (instead !== undefined) return { problem: `the parameter ${name} has no effect here; ${instead}` };
    const demand = demandOf(name, value);
    if (demand?.named === true && isIP(host.replace(/:\d*$/u, '').replaceAll(/[[\]]/gu, '')) !== 0)
      return {
        problem: `the parameter ${name} asks to verify the server's name, but the URL has an address; write the name`,
      };
    if (demand !== undefined) kept.push(parameter);
    else dropped.push(name);
  }
  return {
    url: base + (kept.length === 0 ? '' : `?${kept.join('&')}`),
    warning: dropped.length === 0 ? undefined : `driver parameters have no effect: ${dropped.join(', ')}`,
  };
}

const trust = 'give the CA certificates as PEM in sql.ssl.trustCertCollection';
const clientCertificate = 'give certificate and key as PEM in sql.ssl.certificateChain and sql.ssl.privateKey';

/**
 * Driver parameters, in lower case, that belong in settings of ours: dropping them would change who or what is trusted.
 */
const misplaced: ReadonlyMap<string, string> = new Map([
  ['user', 'set sql.user'],
  ['password', 'set sql.password'],
  ['currentschema', 'give the user a search_path'],
  ['trustcertificatekeystoreurl', trust],
  ['truststore', trust],
  ['serversslcert', trust],
  ['sslrootcert', trust],
  ['clientcertificatekeystoreurl', clientCertificate],
  ['keystore', clientCertificate],
  ['sslcert', clientCertificate],
  ['sslkey', clientCertificate],
]);

/** The TLS that a database URL asks for. */
export interface TlsDemand {
  readonly parameter: string;
  /** Whether the server's certificate must be verified. */
  readonly verified: boolean;
  /** Whether its name must be verified, too. */
  readonly named: boolean;
}

/** The strictest that parameters of the URL ask for (MySQL Connector/J, MariaDB Connector/J, pgJDBC, libpq). */
export function tlsDemand(url: string): TlsDemand | undefined {
  const [, query = ''] = url.split(/\?(.*)/su);
  const demands = query.split('&').flatMap((parameter) => {
    const [name = '', value = ''] = parameter.split(/=(.*)/su);
    return demandOf(name, value) ?? [];
  });
  return demands.find(({ verified }) => verified) ?? demands[0];
}

function demandOf(name: string, value: string): TlsDemand | undefined {
  const [key, word] = [name.toLowerCase(), value.toLowerCase().replaceAll('_', '-')];
  const on = word === 'true' || word === '' || word === '1';
  const demands = (verified: boolean, named = false): TlsDemand => ({ parameter: name, verified, named });
  if (key === 'sslmode') {
    if (word === 'verify-ca') return demands(true);
    if (word === 'verify-full' || word === 'verify-identity') return demands(true, true);
    return ['disabled', 'disable', 'preferred', 'prefer', 'allow'].includes(word) ? undefined : demands(false);
  }
  if (['usessl', 'requiressl', 'ssl', 'usetls'].includes(key)) return on ? demands(false) : undefined;
  if (['verifyservercertificate', 'ssl-verify-server-cert'].includes(key)) return on ? demands(true) : undefined;
  return ['enabledtlsprotocols', 'tlsversions', 'enabledsslprotocolsuites'].includes(key) ? demands(false) : undefined;
}

/**
 * `mysql://host:3306/db` of `mysql://user:password@host:3306/db?x=y`: the part that may be shown. `***` if it is not
 * certain where the credentials end, as with a password that contains `@` or `/`.
 */
export function withoutCredentials(url: string): string {
  if (url.startsWith('pglite:')) return url;
  const [, scheme, place] = /^([a-z]+:\/\/)(?:[^/?#@]*@)?([^/?#@]+(?:\/[^?#@]*)?)(?:\?[^@]*)?$/.exec(url) ?? [];
  return scheme === undefined || place === undefined ? '***' : `${scheme}${place}`;
}
