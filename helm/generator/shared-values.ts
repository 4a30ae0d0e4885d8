/** Values that both charts have. */

import type { TProperties } from 'typebox';
import { choice, count, flag, labels, object, objects, optionalCount, section, text } from './values.js';

/** The user of the image (Dockerfile). */
const user = 65_532;

/** @param program the name of the chart */
export const naming = (program: string): TProperties => ({
  nameOverride: text(`In place of \`${program}\` in names and labels.`),
  fullnameOverride: text('The whole name of the objects; without it, the release and the name.'),
  commonLabels: labels('Labels of every object.'),
});

export const image: TProperties = {
  image: section('The container image, which you build from the Dockerfile (docs/install.md).', {
    repository: text('Registry and name.', 'agent-gateway'),
    tag: text("Tag; empty: the chart's appVersion."),
    digest: text('Digest (`sha256:...`), in place of a tag.', '', '^(sha256:[0-9a-f]{64})?$'),
    pullPolicy: choice('When the image is pulled.', 'IfNotPresent', ['Always', 'IfNotPresent', 'Never']),
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
    'Requests and limits. No limit of CPU: throttling delays keepalives and heartbeats of SQL.',
    resources,
  ),
  nodeSelector: labels('Labels of the nodes to run on.'),
  tolerations: objects('Taints to run in spite of.'),
  affinity: object('Affinity to nodes and pods.'),
  priorityClassName: text('Priority class of the pods.'),
  revisionHistoryLimit: count('Old ReplicaSets that are kept, for `kubectl rollout undo`.', 5, 0),
  extraEnv: objects('More environment variables.'),
  extraVolumes: objects('More volumes.'),
  extraVolumeMounts: objects('More mounts of the container.'),
  initContainers: objects('Containers that run before.'),
  extraContainers: objects('Containers that run beside.'),
});

export const serviceAccount: TProperties = {
  serviceAccount: section('The service account of the pods.', {
    create: flag('Make one.', true),
    name: text('Its name; empty: the name of the objects, or `default` where none is made.'),
    annotations: labels('Its annotations, such as a role of the cloud.'),
  }),
};

/** @param defaults periodSeconds and the like, over which values win */
export const probe = (description: string, defaults: Readonly<Record<string, number>>) => object(description, defaults);

export const monitoring = (program: string): TProperties => ({
  serviceMonitor: section('For the Prometheus Operator.', {
    enabled: flag(`Make a ServiceMonitor, so that Prometheus scrapes \`/metrics\` of every ${program}.`, false),
    namespace: text('Where to make it; empty: the namespace of the release.'),
    labels: labels('Labels that your Prometheus selects by.'),
    interval: text('Time between two scrapes.', '30s'),
    scrapeTimeout: text('How long one may take.', '10s'),
    relabelings: objects('Relabelings of targets.'),
    metricRelabelings: objects('Relabelings of metrics.'),
    tlsConfig: object('TLS of the scrapes, where the port serves TLS.'),
  }),
});

export const disruption: TProperties = {
  terminationGracePeriodSeconds: optionalCount(
    'Time from SIGTERM to SIGKILL. Without it, what the drain needs and a margin; less is refused.',
    1,
    7_200,
  ),
};
