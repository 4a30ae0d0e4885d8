{{/* Names. */}}
{{- define "agent.name" -}}
{{- default "agent-gateway-agent" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "agent.fullname" -}}
{{- $name := include "agent.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "agent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "agent.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* ClusterRoles have no namespace, so their names must differ between releases. */}}
{{- define "agent.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "agent.fullname" .) | trunc 56 | trimSuffix "-" }}
{{- end }}

{{/* Labels. */}}
{{- define "agent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "agent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agent.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") "app.kubernetes.io/version" (.Chart.AppVersion | trunc 63) "app.kubernetes.io/managed-by" .Release.Service "app.kubernetes.io/part-of" "agent-gateway" }}
{{- merge dict (include "agent.selectorLabels" . | fromYaml) $own .Values.commonLabels | toYaml }}
{{- end }}

{{- define "agent.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* Settings that the objects depend on, with the program's own defaults. */}}
{{- define "agent.serverPort" -}}
{{- default 8082 (.Values.config.server).port | int }}
{{- end }}

{{/* Seconds from the end of the drain to SIGKILL, to close what is still open. */}}
{{- define "agent.terminationGracePeriodSeconds" -}}
{{- $drain := (.Values.config.tasks).drainSeconds }}
{{- $needed := add (int64 (ternary 20 $drain (kindIs "invalid" $drain))) 10 }}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- if and $given (lt (int64 $given) $needed) }}
{{- fail (printf "terminationGracePeriodSeconds: expected at least %d, which is config.tasks.drainSeconds plus 10 seconds, found %d; remove it to have it computed" $needed (int64 $given)) }}
{{- end }}
{{- default $needed $given | int64 }}
{{- end }}

{{/* Whether the service account is used for an account of the agent, or for one that the gateway may assign. */}}
{{- define "agent.usesServiceAccount" -}}
{{- $uses := eq (toString (default false (.Values.config.dynamicAccounts).enabled) | lower) "true" }}
{{- range (.Values.config.kubernetes).accounts }}
{{- if eq (toString (default false .serviceAccount) | lower) "true" }}{{ $uses = true }}{{ end }}
{{- end }}
{{- $uses }}
{{- end }}

{{- define "agent.metricsEnabled" -}}
{{- if eq (toString (default false (.Values.config.prometheus).enabled) | lower) "true" }}true{{ end }}
{{- end }}

{{- define "agent.metricsPort" -}}
{{- default 8008 (.Values.config.prometheus).port | int }}
{{- end }}

{{/* The configuration file: the given one, with the settings that Secrets and probes need. */}}
{{- define "agent.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $clouddriver := dict }}
{{- with .Values.tls }}
{{- if .existingSecret }}
{{- $tls := dict "insecureSkipVerify" false }}
{{- range $setting, $key := dict "clientCertFile" .certificateKey "clientKeyFile" (ternary .privateKeyKey "" (not (empty .certificateKey))) "cacertFile" .trustKey }}
{{- if $key }}{{ $_ := set $tls $setting (printf "/etc/agent-gateway/tls/%s" $key) }}{{ end }}
{{- end }}
{{- with .serverName }}{{ $_ := set $tls "serverName" . }}{{ end }}
{{- $_ := set $clouddriver "insecure" false }}
{{- $_ := set $clouddriver "tls" $tls }}
{{- end }}
{{- end }}
{{- with .Values.token }}
{{- if or .existingSecret .projected.enabled }}{{ $_ := set $clouddriver "auth" (dict "tokenFile" (printf "/etc/agent-gateway/token/%s" .key)) }}{{ end }}
{{- end }}
{{- if $clouddriver }}{{ $_ := mergeOverwrite $config (dict "clouddriver" $clouddriver) }}{{ end }}
{{- /* Probes come from outside the pod. */}}
{{- if not ($config.server).host }}{{ $_ := mergeOverwrite $config (dict "server" (dict "host" "0.0.0.0")) }}{{ end }}
{{- toYaml $config }}
{{- end }}

{{/* An error for every mistake that the schema cannot detect. */}}
{{- define "agent.validate" -}}
{{- if not (.Values.config.clouddriver).grpc }}
{{- fail "config.clouddriver.grpc is missing: the host and port of the gateway, such as gateway.example.com:9091" }}
{{- end }}
{{- $dynamic := eq (toString (default false (.Values.config.dynamicAccounts).enabled) | lower) "true" }}
{{- if and (not (.Values.config.kubernetes).accounts) (not $dynamic) }}
{{- fail "config.kubernetes.accounts is missing: the accounts that the agent serves, such as [{name: shop, serviceAccount: true}]" }}
{{- end }}
{{- range (.Values.config.kubernetes).accounts }}
{{- if and .serviceAccount (not $.Values.serviceAccount.create) (not $.Values.serviceAccount.name) (ne $.Values.rbac.access "none") }}
{{- fail "serviceAccount.name is missing: set the service account that gets rbac.access, or serviceAccount.create to true" }}
{{- end }}
{{- end }}
{{- if .Values.tls.certManager.enabled }}
{{- if not .Values.tls.existingSecret }}
{{- fail "tls.existingSecret is missing: the name of the Secret that cert-manager creates" }}
{{- end }}
{{- if not .Values.tls.certManager.issuerRef }}
{{- fail "tls.certManager.issuerRef is missing" }}
{{- end }}
{{- end }}
{{- if and .Values.token.existingSecret .Values.token.projected.enabled }}
{{- fail "token: set either existingSecret or projected.enabled" }}
{{- end }}
{{- if and .Values.metrics.podMonitor.enabled (not (include "agent.metricsEnabled" .)) }}
{{- fail "metrics.podMonitor.enabled needs config.prometheus.enabled" }}
{{- end }}
{{- end }}
