/**
 * Conditions on identities, one text each, as they stand in `kubesvc.grpc.auth.x509.filters` and in policies:
 *
 * - `CN=agent,O=Acme`: the certificate's subject has these attributes, in any order, perhaps among others;
 * - `DNS:agent.example.com`, `URI:spiffe://example.com/agent`: it has this alternative name;
 * - `token:NAME`: the static token of that name;
 * - `claim:sub=system:serviceaccount:spinnaker:agent`: a claim of the token, `/` leading into nested ones; in a list,
 *   one item must match.
 *
 * `*` in a value stands for any text. Types of attributes, DNS names and the prefixes are compared without regard to
 * case.
 */

import { certificateOf, readCertificate } from './certificate.js';
import { parseDistinguishedName, type Attribute } from './distinguished-name.js';
import type { Identity } from './identity.js';

export type Filter = (identity: Omit<Identity, 'name'>) => boolean;

/** @returns a sentence about the problem if it is not a filter */
export function parseFilter(text: string): Filter | string {
  const [, prefix, rest = ''] = /^(DNS|URI|token|claim):(.*)$/isu.exec(text) ?? [];
  if (prefix !== undefined && rest.trim() === '') return `expected something after "${prefix}:"`;
  switch (prefix?.toLowerCase()) {
    case undefined:
      return subjectFilter(text);
    case 'dns': {
      const matches = pattern(rest.toLowerCase());
      return ({ certificate }) => certificate?.dnsNames.some((name) => matches(name.toLowerCase())) ?? false;
    }
    case 'uri': {
      const matches = pattern(rest);
      return ({ certificate }) => certificate?.uris.some(matches) ?? false;
    }
    case 'token': {
      const matches = pattern(rest);
      return ({ token }) => token !== undefined && matches(token);
    }
    default:
      return claimFilter(rest);
  }
}

/** A comparison with a text in which `*` stands for any text, the empty one too. */
export function pattern(text: string): (value: string) => boolean {
  const parts = text.split('*');
  const [first = ''] = parts;
  const last = parts.at(-1) ?? '';
  // Matches from left to right without backtracking: linear for every pattern.
  return (value) => {
    if (parts.length === 1) return value === text;
    if (!value.startsWith(first) || !value.endsWith(last) || value.length < first.length + last.length) return false;
    let position = first.length;
    for (const part of parts.slice(1, -1)) {
      const at = value.indexOf(part, position);
      if (at === -1) return false;
      position = at + part.length;
    }
    return position <= value.length - last.length;
  };
}

function subjectFilter(text: string): Filter | string {
  const wanted = parseDistinguishedName(text);
  if (typeof wanted === 'string') return wanted;
  const conditions = wanted.map(({ type, value }) => ({ type, matches: pattern(value) }));
  return ({ certificate }) => certificate !== undefined && eachHasOne(conditions, certificate.subject);
}

/** Each condition needs its own attribute: OU=a,OU=* needs two. */
function eachHasOne(
  conditions: readonly { readonly type: string; readonly matches: (value: string) => boolean }[],
  attributes: readonly Attribute[],
): boolean {
  const [first, ...others] = conditions;
  if (first === undefined) return true;
  return attributes.some(
    (attribute, index) =>
      attribute.type === first.type &&
      first.matches(attribute.value) &&
      eachHasOne(others, attributes.toSpliced(index, 1)),
  );
}

function claimFilter(text: string): Filter | string {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(0, equals)).trim();
  if (name === '') return 'expected claim:NAME=VALUE';
  const path = name.split('/');
  const matches = pattern(text.slice(equals + 1));
  return ({ claims }) => {
    const value = claimAt(claims, path);
    return (Array.isArray(value) ? value : [value]).some(
      (item) => ['string', 'number', 'boolean'].includes(typeof item) && matches(String(item)),
    );
  };
}

/** What stands at the path in the claims of a token; undefined if nothing does. */
export function claimAt(claims: Identity['claims'], path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[step];
  }
  return value;
}

/** Whether the certificate of a connection matches one of the filters; one without a certificate does not. */
export function passesByCertificate(socket: Parameters<typeof certificateOf>[0], filters: readonly Filter[]): boolean {
  const der = certificateOf(socket);
  if (der === undefined) return false;
  const certificate = readCertificate(der);
  return filters.some((filter) => filter({ certificate }));
}
