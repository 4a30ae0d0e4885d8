/** The usual name of the resource of a kind, without asking a cluster. */

/**
 * "Deployment" to "deployments", as controllers and code generators name resources by default: the plural of the kind
 * in lower case. A few resources are named otherwise; only the cluster knows them.
 * @param kind in any case, also as kubectl takes it: "deployments", "Certificate.cert-manager.io"
 */
export function resourceOfKind(kind: string): string {
  const [word = ''] = kind.toLowerCase().split('.');
  // "endpoints", and the plural itself; but "ingress", "status", "redis".
  if (/[^sui]s$/u.test(word)) return word;
  if (/[^aeiou]y$/u.test(word)) return `${word.slice(0, -1)}ies`;
  return /(?:s|x|z|ch|sh)$/u.test(word) ? `${word}es` : `${word}s`;
}
