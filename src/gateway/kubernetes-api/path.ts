/** Paths of the Kubernetes API at the gateway: `/kubernetes/accounts/ACCOUNT/...`, the rest as the API server gets it. */

import { GatewayError } from '../../core/errors.js';
import { kubernetesApiPrefix } from '../peers/forwarding.js';

/** @param url as in the request line */
export function isKubernetesApi(url: string | undefined): boolean {
  return url?.startsWith(kubernetesApiPrefix) === true;
}

/**
 * The account is one segment, percent-encoded: names such as EKS ARNs contain "/" and ":". client-go, and so kubectl, decodes
 * the path of a kubeconfig's server and does not encode "/" again: there "/" is encoded twice, as accountPath() does.
 * @returns the account, and the rest of the path with the query, exactly as it was written
 * @throws GatewayError `invalid-argument`
 */
export function splitPath(url: string): { readonly account: string; readonly target: string } {
  const start = kubernetesApiPrefix.length;
  const end = url.slice(start).search(/[/?#]/u);
  const segment = end === -1 ? url.slice(start) : url.slice(start, start + end);
  const rest = end === -1 ? '' : url.slice(start + end);
  return { account: accountOf(segment), target: rest.startsWith('/') ? rest : `/${rest}` };
}

/** Path of an account's API for the server of a kubeconfig. */
export function accountPath(account: string): string {
  return kubernetesApiPrefix + encodeURIComponent(account).replaceAll('%2F', '%252F');
}

function accountOf(segment: string): string {
  let account: string;
  try {
    account = decodeURIComponent(segment);
  } catch {
    throw invalid('the account in the path is not valid percent-encoding');
  }
  if (account === '') throw invalid(`expected ${kubernetesApiPrefix}ACCOUNT/..., found no account`);
  account = account.replaceAll(/%2f/giu, '/');
  // No account has such a name, and databases do not take NUL.
  if (/\p{Cc}/u.test(account)) throw invalid('the name of an account has no control characters');
  // A dot segment would be resolved by proxies and clients in between, to another account.
  if (account === '.' || account === '..') throw invalid(`"${account}" is not the name of an account`);
  return account;
}

function invalid(message: string): GatewayError {
  return new GatewayError('invalid-argument', message, { field: 'path' });
}
