/**
 * The options that the definition of an account may have: those of `kubernetes.accounts[]`, and further ones of
 * Clouddriver's accounts. They do not include the name, the zone and options with a kubeconfig.
 */

import Type from 'typebox';

const strings = Type.Array(Type.String({ minLength: 1, maxLength: 1_024 }), { maxItems: 10_000 });
const text = Type.String({ maxLength: 1_024 });
export const accountOptions = {
  apiAccess: Type.Enum(['off', 'read', 'full']),
  // Of Armory's agent.
  context: text,
  customResourceDefinitions: Type.Unknown(),
  kinds: strings,
  insecure: Type.Boolean(),
  metrics: Type.Boolean(),
  namespaces: strings,
  noProxy: Type.Boolean(),
  oAuthScopes: strings,
  omitKinds: strings,
  omitNamespaces: strings,
  onlyNamespacedResources: Type.Boolean(),
  onlySpinnakerManaged: Type.Boolean(),
  permissions: Type.Unknown(),
  maxResumableResourceAgeMs: Type.Integer({ minimum: 0 }),
  serviceAccount: Type.Boolean({ description: 'Use the service account of the agent, and no kubeconfig.' }),
  // Of Spinnaker's Kubernetes provider.
  type: text,
  environment: text,
  accountType: text,
  customResources: Type.Unknown(),
  cachingPolicies: Type.Unknown(),
  cacheThreads: Type.Integer({ minimum: 0 }),
  cacheIntervalSeconds: Type.Integer({ minimum: 0 }),
  checkPermissionsOnStartup: Type.Boolean(),
  liveManifestCalls: Type.Boolean(),
  providerVersion: text,
  requiredGroupMembership: strings,
  debug: Type.Boolean(),
  rawResourcesEndpointConfig: Type.Unknown(),
  cacheAllApplicationRelationships: Type.Boolean(),
  primaryAccount: Type.Boolean(),
  dockerRegistries: Type.Unknown(),
  configureImagePullSecrets: Type.Boolean(),
};
