/** Values that both charts have. */

import type { TProperties } from 'typebox';
import { choice, count, flag, labels, object, objects, optionalCount, section, text } from './values.js';

/** The user of the image (Dockerfile). */
const user = 65_532;

/** @param program the name of the chart */
export const naming = (program: string): TProperties => ({
  nameOverride: text(`Replaces \`${program}\` in names and labels.`),
  fullnameOverride: text('Full name of the objects. Default: the name of the release, followed by that of the chart.'),
  commonLabels: labels('Labels of every object.'),
});

export const image: TProperties = {
  image: section('The container image. Build it from the Dockerfile (docs/install.md).', {
    repository: text('Registry and name.', 'agent-gateway'),
    tag: text("Tag; empty: the chart's appVersion."),
    digest: text('Digest (`sha256:...`), instead of a tag.', '', '^(sha256:[0-9a-f]{64})?$'),
    pullPolicy: choice('When to pull the image.', 'IfNotPresent', ['Always', 'IfNotPresent', 'Never']),
  }),
  imagePullSecrets: objects('Secrets for the registry: `[{name: ...}]`.'),
};

export const pod = (resources: Readonly<Record<string, unknown>>): TProperties => ({
  podAnnotations: labels('Annotations of the pods.'),
  podLabels: labels('Labels of the pods.'),
  podSecurityContext: object('Security context of the pods.', {
    runAsNonRoot: true,
    ...{ runAsUser: user, runAsGroup: user, fsGroup: user },
    seccompProfile: { type: 'RuntimeDefault' },
  }),
  securityContext: object('Security context of the container.', {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  }),
  resources: object(
    'Requests and limits. There is no CPU limit, because throttling would delay keepalives and SQL heartbeats.',
    resources,
  ),
  nodeSelector: labels('Labels of the nodes to run on.'),
  tolerations: objects('Taints that the pods tolerate.'),
  affinity: object('Node and pod affinity.'),
  priorityClassName: text('Priority class of the pods.'),
  revisionHistoryLimit: count('Old ReplicaSets to keep, for `kubectl rollout undo`.', 5, 0),
  extraEnv: objects('More environment variables.'),
  extraVolumes: objects('More volumes.'),
  extraVolumeMounts: objects('More volume mounts of the container.'),
  initContainers: objects('Init containers.'),
  extraContainers: objects('Sidecar containers.'),
});

export const serviceAccount: TProperties = {
  serviceAccount: section('The service account of the pods.', {
    create: flag('Create it.', true),
    name: text('Its name; empty: the name of the other objects, or `default` if `create` is false.'),
    annotations: labels('Its annotations, such as a cloud IAM role.'),
  }),
};

/** @param defaults periodSeconds and the like, over which values win */
export const probe = (description: string, defaults: Readonly<Record<string, number>>) => object(description, defaults);

export const monitoring = (program: string): TProperties => ({
  serviceMonitor: section('For the Prometheus Operator.', {
    enabled: flag(`Create a ServiceMonitor, so that Prometheus scrapes \`/metrics\` of every ${program}.`, false),
    namespace: text('Namespace of the object; empty: that of the release.'),
    labels: labels('Labels by which your Prometheus selects it.'),
    interval: text('Time between two scrapes.', '30s'),
    scrapeTimeout: text('Time that one scrape may take.', '10s'),
    relabelings: objects('Relabeling of targets.'),
    metricRelabelings: objects('Relabeling of metrics.'),
    tlsConfig: object('TLS settings of the scrapes, if the port serves TLS.'),
  }),
});

export const disruption: TProperties = {
  terminationGracePeriodSeconds: optionalCount(
    'Time from SIGTERM to SIGKILL. Default: the time that draining needs, and a margin. A shorter time is refused.',
    1,
    7_200,
  ),
};
