/**
 * Checks an agent's description of an account before it gets to the database. A text that a column cannot hold would
 * fail there as an internal error; the agent, not told why, would try again at once.
 */

import { GatewayError } from '../../core/errors.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';

/** Of kubesvc_accounts, in characters (store/sql/tables.ts). */
const longestTexts = { kubeHost: 1_024, kubeVersion: 255, certFingerprint: 1_024 } as const;
const fieldNames = { kubeHost: 'kube_host', kubeVersion: 'kube_version', certFingerprint: 'cert_fingerprint' } as const;
/** Kubernetes allows 63. */
const longestNamespace = 253;
const mostNamespaces = 10_000;
const mostProperties = 256;
const longestPropertyName = 253;
const longestProperty = 4_096;

/** No control characters, line separators or halves of surrogate pairs: PostgreSQL refuses NUL, and logs have lines. */
const printable = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u;

/** @throws GatewayError `invalid-argument` naming the field */
export function validateText(field: string, value: string, maxLength: number): void {
  if (value.length <= maxLength && printable.test(value)) return;
  const found = value.length > maxLength ? `${String(value.length)} characters` : 'a control character';
  throw invalid(field, `expected at most ${String(maxLength)} printable characters, found ${found}`);
}

/**
 * @param field the account's, such as `register.accounts[3]`
 * @throws GatewayError `invalid-argument` naming the field, such as `register.accounts[3].kube_host`
 */
export function validateDescription(account: AccountRegistration, field: string): void {
  for (const key of ['kubeHost', 'kubeVersion', 'certFingerprint'] as const)
    validateText(`${field}.${fieldNames[key]}`, account[key], longestTexts[key]);
  if (account.dynamicVersion !== undefined && !Number.isSafeInteger(account.dynamicVersion))
    throw invalid(`${field}.dynamic_version`, 'expected the version of an AddAccounts');
  validateCount(`${field}.namespaces`, account.namespaces.length, mostNamespaces);
  account.namespaces.forEach((namespace, index) => {
    validateText(`${field}.namespaces[${String(index)}]`, namespace, longestNamespace);
  });
  const properties = Object.entries(account.properties);
  validateCount(`${field}.properties`, properties.length, mostProperties);
  for (const [name, value] of properties) {
    // The name is shown in the message, so it is checked first.
    validateText(`${field}.properties: name of a property`, name, longestPropertyName);
    validateText(`${field}.properties["${name}"]`, value, longestProperty);
  }
}

function validateCount(field: string, count: number, most: number): void {
  if (count > most) throw invalid(field, `expected at most ${String(most)}, found ${String(count)}`);
}

function invalid(field: string, message: string): GatewayError {
  return new GatewayError('invalid-argument', `${field}: ${message}`, { field });
}
