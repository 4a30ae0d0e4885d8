/** The Role that discovery needs, as an administrator can apply it. */

/**
 * @param account the service account to bind the Role to, if known
 */
export function permissionMessage(namespace: string, account: { name: string; namespace: string } | undefined): string {
  const subject = account ?? { name: '<service account of this pod>', namespace };
  return `not permitted to list and watch endpointslices or endpoints in namespace ${namespace}. Apply this, or set kubesvc.cluster-kubernetes.failFast to false to start without the permission:
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: agent-gateway-discovery
  namespace: ${namespace}
rules:
  - apiGroups: ["discovery.k8s.io"]
    resources: ["endpointslices"]
    verbs: ["list", "watch"]
  - apiGroups: [""]
    resources: ["endpoints"]
    verbs: ["list", "watch"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: agent-gateway-discovery
  namespace: ${namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: agent-gateway-discovery
subjects:
  - kind: ServiceAccount
    name: ${subject.name}
    namespace: ${subject.namespace}
`;
}

/**
 * The service account that a bearer token belongs to, read from the token's own `sub` (a hint for a message: the token
 * is not verified).
 */
export function serviceAccountOf(authorization: string | undefined): { name: string; namespace: string } | undefined {
  const payload = authorization?.split('.')[1];
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    if (typeof claims !== 'object' || claims === null || !('sub' in claims)) return undefined;
    const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(String(claims.sub)) ?? [];
    return namespace === undefined || name === undefined ? undefined : { name, namespace };
  } catch {
    return undefined;
  }
}
