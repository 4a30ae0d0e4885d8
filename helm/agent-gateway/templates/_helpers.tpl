{{/* Names. */}}
{{- define "agent-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "agent-gateway.fullname" -}}
{{- $name := include "agent-gateway.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "agent-gateway.grpcServiceName" -}}
{{- default (printf "%s-grpc" (include "agent-gateway.fullname" . | trunc 58 | trimSuffix "-")) .Values.grpc.service.name }}
{{- end }}

{{/* Prefix of the names of the Services by which replicas find each other. */}}
{{- define "agent-gateway.restServiceName" -}}
{{- $prefix := default "spin-clouddriver" (index (.Values.config.kubesvc | default dict) "cluster-kubernetes").clouddriverServiceNamePrefix }}
{{- $fullname := include "agent-gateway.fullname" . }}
{{- $composed := printf "%s-%s" $prefix $fullname | trunc 63 | trimSuffix "-" }}
{{- $name := default (ternary $fullname $composed (hasPrefix $prefix $fullname)) .Values.rest.service.name }}
{{- if not (hasPrefix $prefix $name) }}
{{- fail (printf "rest.service.name: expected a name that starts with %s (config.kubesvc.cluster-kubernetes.clouddriverServiceNamePrefix, by which replicas find each other), found %s" $prefix $name) }}
{{- end }}
{{- $name }}
{{- end }}

{{- define "agent-gateway.restPortName" -}}
{{- default "http" (index (.Values.config.kubesvc | default dict) "cluster-kubernetes").httpPortName | lower }}
{{- end }}

{{- define "agent-gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "agent-gateway.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Secret that signs the tokens of accounts; empty: none. */}}
{{- define "agent-gateway.tokensSecret" -}}
{{- with .Values.spinnaker }}
{{- if .tokens.existingSecret }}{{ .tokens.existingSecret }}
{{- else if .enabled }}{{ printf "%s-tokens" (include "agent-gateway.fullname" $ | trunc 56 | trimSuffix "-") }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels. */}}
{{- define "agent-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "agent-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agent-gateway.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") "app.kubernetes.io/version" (.Chart.AppVersion | trunc 63) "app.kubernetes.io/managed-by" .Release.Service "app.kubernetes.io/part-of" "agent-gateway" }}
{{- merge dict (include "agent-gateway.selectorLabels" . | fromYaml) $own .Values.commonLabels | toYaml }}
{{- end }}

{{- define "agent-gateway.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* Settings that the objects depend on, with the program's own defaults. */}}
{{- define "agent-gateway.cluster" -}}
{{- $cluster := default "local" (.Values.config.kubesvc).cluster | lower }}
{{- if eq $cluster "none" }}local{{ else }}{{ $cluster }}{{ end }}
{{- end }}

{{- define "agent-gateway.grpcPort" -}}
{{- default 9091 (((.Values.config.kubesvc).grpc).server).port | int }}
{{- end }}

{{- define "agent-gateway.restPort" -}}
{{- default 7002 (.Values.config.server).port | int }}
{{- end }}

{{- define "agent-gateway.restScheme" -}}
{{- $written := toString (default false (((.Values.config).server).ssl).enabled) | lower }}
{{- if or .Values.rest.tls.existingSecret (eq $written "true") }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{- define "agent-gateway.replicasMayBeMany" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) }}true{{ end }}
{{- end }}

{{/* Seconds from the end of the drain to SIGKILL, to close what is still open. */}}
{{- define "agent-gateway.terminationGracePeriodSeconds" -}}
{{- $drain := default 30000 ((.Values.config.kubesvc).drain).timeoutMs | int64 }}
{{- $needed := add (divf $drain 1000 | ceil | int64) 10 }}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- if and $given (lt (int64 $given) $needed) }}
{{- fail (printf "terminationGracePeriodSeconds: expected at least %d, which is config.kubesvc.drain.timeoutMs plus 10 seconds, found %d; remove it to have it computed" $needed (int64 $given)) }}
{{- end }}
{{- default $needed $given | int64 }}
{{- end }}

{{/*
Whether callers of the REST API need not authenticate, because `config` does not configure it and the NetworkPolicy restricts them.
*/}}
{{- define "agent-gateway.anonymousCallers" -}}
{{- if not (or (.Values.config.server).auth (regexMatch "server\\.auth|anonymousRole" (toYaml .Values.config))) }}
{{- if not .Values.networkPolicy.enabled }}
{{- fail "config.server.auth is missing: without a NetworkPolicy, it must configure who may call the REST API (docs/security.md); anonymousRole: admin allows everyone" }}
{{- end }}
{{- true }}
{{- end }}
{{- end }}

{{/* An error for every mistake that the schema cannot detect. */}}
{{- define "agent-gateway.validate" -}}
{{- $cluster := include "agent-gateway.cluster" . }}
{{- $sql := .Values.config.sql | default dict }}
{{- $url := or $sql.url ($sql.connectionPool).jdbcUrl (($sql.connectionPools).default).jdbcUrl (and .Values.sql.existingSecret .Values.sql.urlKey) }}
{{- if and (eq $cluster "local") (include "agent-gateway.replicasMayBeMany" .) }}
{{- fail "config.kubesvc.cluster: local is for one replica alone: set replicaCount to 1, or cluster to kubernetes" }}
{{- end }}
{{- if and (ne $cluster "local") (not $url) }}
{{- fail "config.sql.url is missing: replicas share a MySQL, MariaDB or PostgreSQL database (or set sql.existingSecret and sql.urlKey to a Secret that has the URL)" }}
{{- end }}
{{- if and (eq $cluster "kubernetes") (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create }}
{{- fail "serviceAccount.name is missing: set the service account for the Role of discovery, or serviceAccount.create to true" }}
{{- end }}
{{- range $port, $tls := dict "grpc" .Values.grpc.tls "rest" .Values.rest.tls }}
{{- if and $tls.certManager.enabled (not $tls.existingSecret) }}
{{- fail (printf "%s.tls.existingSecret is missing: the name of the Secret that cert-manager creates" $port) }}
{{- end }}
{{- if and $tls.certManager.enabled (not $tls.certManager.issuerRef) }}
{{- fail (printf "%s.tls.certManager.issuerRef is missing" $port) }}
{{- end }}
{{- if and (ne $tls.clientAuth "NONE") $tls.existingSecret (not $tls.trustKey) }}
{{- fail (printf "%s.tls.trustKey is missing: it names the CAs for client certificates" $port) }}
{{- end }}
{{- end }}
{{- if or (eq .Values.rest.tls.clientAuth "REQUIRE") (eq (((.Values.config.server).ssl).clientAuth | default "" | upper) "REQUIRE") }}
{{- fail "rest.tls.clientAuth: REQUIRE would refuse the probes of the kubelet, which have no certificate: use OPTIONAL" }}
{{- end }}
{{- if and .Values.spinnaker.enabled (ne (include "agent-gateway.restScheme" .) "HTTPS") (not ((.Values.config.kubesvc).kubernetesApi).publicUrl) }}
{{- fail "spinnaker.enabled needs TLS on port 7002, because kubectl sends no token without it: set rest.tls.existingSecret, or config.kubesvc.kubernetesApi.publicUrl if TLS ends in front of the gateway" }}
{{- end }}
{{- if and .Values.autoscaling.keda.enabled (not .Values.autoscaling.enabled) }}
{{- fail "autoscaling.keda.enabled needs autoscaling.enabled" }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" }}
{{- end }}
{{- if not (or .Values.autoscaling.cpuUtilization .Values.autoscaling.agentsPerReplica .Values.autoscaling.operationsPerReplica) }}
{{- fail "autoscaling: expected at least one of cpuUtilization, agentsPerReplica and operationsPerReplica" }}
{{- end }}
{{- $prometheus := or .Values.autoscaling.agentsPerReplica .Values.autoscaling.operationsPerReplica }}
{{- if and .Values.autoscaling.keda.enabled $prometheus (not .Values.autoscaling.keda.prometheusAddress) }}
{{- fail "autoscaling.keda.prometheusAddress is missing" }}
{{- end }}
{{- end }}
{{- end }}
