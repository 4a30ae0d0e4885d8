{{/*
Settings that come from Secrets: each is a mounted file, and a variable that names it. The program reads the file
(docs/configuration.md, "file:"), so that no secret stands in the environment of the process.
*/}}
{{- define "agent-gateway.environment" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: AGENT_GATEWAY_CONFIG
  value: /etc/agent-gateway/gateway.yml
{{- if eq (include "agent-gateway.cluster" .) "local" }}
{{- /* A single replica listens on loopback by default, which probes and agents cannot reach. */}}
{{- if not (.Values.config.server).address }}
- name: AGENT_GATEWAY_SERVER_ADDRESS
  value: "*"
{{- end }}
{{- if not (((.Values.config.kubesvc).grpc).server).address }}
- name: AGENT_GATEWAY_KUBESVC_GRPC_SERVER_ADDRESS
  value: "*"
{{- end }}
{{- end }}
{{- if include "agent-gateway.anonymousCallers" . }}
- name: AGENT_GATEWAY_SERVER_AUTH_ANONYMOUSROLE
  value: admin
{{- end }}
{{- with .Values.sql }}
{{- if .existingSecret }}
{{- range $variable, $key := dict "URL" .urlKey "PASSWORD" .passwordKey "MIGRATION_PASSWORD" .migrationPasswordKey }}
{{- if $key }}
- name: AGENT_GATEWAY_SQL_{{ $variable }}
  value: file:/etc/agent-gateway/secrets/sql/{{ $key }}
{{- end }}
{{- end }}
{{- range $variable, $key := dict "USER" .userKey "MIGRATION_USER" .migrationUserKey }}
{{- if $key }}
- name: AGENT_GATEWAY_SQL_{{ $variable }}
  valueFrom: { secretKeyRef: { name: {{ $.Values.sql.existingSecret }}, key: {{ $key }} } }
{{- end }}
{{- end }}
{{- end }}
{{- with .tls }}
{{- if .existingSecret }}
- name: AGENT_GATEWAY_SQL_SSL_ENABLED
  value: "true"
{{- range $variable, $key := dict "TRUSTCERTCOLLECTION" .trustKey "CERTIFICATECHAIN" .certificateKey "PRIVATEKEY" .privateKeyKey }}
{{- if $key }}
- name: AGENT_GATEWAY_SQL_SSL_{{ $variable }}
  value: /etc/agent-gateway/tls/sql/{{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.redis }}
{{- if .existingSecret }}
{{- range $variable, $key := dict "CONNECTION" .connectionKey "PASSWORD" .passwordKey }}
{{- if $key }}
- name: AGENT_GATEWAY_REDIS_{{ $variable }}
  value: file:/etc/agent-gateway/secrets/redis/{{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.dynamicAccounts.encryptionKey }}
{{- if .existingSecret }}
- name: AGENT_GATEWAY_KUBESVC_DYNAMICACCOUNTS_ENCRYPTIONKEY
  value: file:/etc/agent-gateway/secrets/encryption-key/{{ .key }}
{{- end }}
{{- end }}
{{- if .Values.dynamicAccounts.kubeconfigSecrets }}
- name: AGENT_GATEWAY_KUBESVC_DYNAMICACCOUNTS_KUBECONFIGDIRECTORY
  value: /etc/agent-gateway/kubeconfigs
{{- end }}
{{- if include "agent-gateway.tokensSecret" . }}
- name: AGENT_GATEWAY_SPINNAKER_TOKENS_SECRETFILE
  value: /etc/agent-gateway/secrets/account-tokens/{{ .Values.spinnaker.tokens.key }}
{{- end }}
{{- include "agent-gateway.portTls" (dict "tls" .Values.grpc.tls "name" "grpc" "prefix" "AGENT_GATEWAY_KUBESVC_GRPC_SERVER_SECURITY_") }}
{{- include "agent-gateway.portTls" (dict "tls" .Values.rest.tls "name" "rest" "prefix" "AGENT_GATEWAY_SERVER_SSL_") }}
{{- if and .Values.rest.tls.existingSecret (eq (include "agent-gateway.cluster" .) "kubernetes") }}
{{- /* Replicas call each other by names that a certificate can contain, and trust its CA. */}}
{{- if kindIs "invalid" (index (.Values.config.kubesvc | default dict) "cluster-kubernetes").useDNS }}
- name: AGENT_GATEWAY_KUBESVC_CLUSTERKUBERNETES_USEDNS
  value: "true"
{{- end }}
{{- with .Values.rest.tls.trustKey }}
- name: NODE_EXTRA_CA_CERTS
  value: /etc/agent-gateway/tls/rest/{{ . }}
{{- end }}
{{- end }}
{{- if .Values.spinnaker.enabled }}
{{- if not ((.Values.config.kubesvc).kubernetesApi).publicUrl }}
- name: AGENT_GATEWAY_KUBESVC_KUBERNETESAPI_PUBLICURL
  value: https://{{ include "agent-gateway.restServiceName" . }}.{{ .Release.Namespace }}:{{ .Values.rest.service.port }}
{{- end }}
{{- with .Values.rest.tls }}
{{- if and .existingSecret .trustKey (eq .clientAuth "NONE") }}
{{- /* The kubeconfigs for Clouddriver contain the CA. */}}
- name: AGENT_GATEWAY_SERVER_SSL_TRUSTCERTCOLLECTION
  value: /etc/agent-gateway/tls/rest/{{ .trustKey }}
{{- end }}
{{- end }}
{{- if not (or ((.Values.config.spinnaker).clouddriver).url ((.Values.config.spinnaker).configServer).enabled) }}
- name: AGENT_GATEWAY_SPINNAKER_CLOUDDRIVER_URL
  value: {{ default (printf "http://spin-clouddriver.%s:7002" .Values.spinnaker.namespace) .Values.spinnaker.clouddriverUrl }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "agent-gateway.portTls" -}}
{{- $directory := printf "/etc/agent-gateway/tls/%s" .name }}
{{- $prefix := .prefix }}
{{- with .tls }}
{{- if .existingSecret }}
- name: {{ $prefix }}ENABLED
  value: "true"
- name: {{ $prefix }}CERTIFICATECHAIN
  value: {{ $directory }}/{{ .certificateKey }}
- name: {{ $prefix }}PRIVATEKEY
  value: {{ $directory }}/{{ .privateKeyKey }}
{{- if .privateKeyPasswordKey }}
- name: {{ $prefix }}PRIVATEKEYPASSWORD
  value: file:{{ $directory }}/{{ .privateKeyPasswordKey }}
{{- end }}
{{- if ne .clientAuth "NONE" }}
- name: {{ $prefix }}TRUSTCERTCOLLECTION
  value: {{ $directory }}/{{ .trustKey }}
- name: {{ $prefix }}CLIENTAUTH
  value: {{ .clientAuth }}
{{- if .revocationListKey }}
- name: {{ $prefix }}REVOCATIONLIST
  value: {{ $directory }}/{{ .revocationListKey }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Files that are mounted from Secrets, by directory below /etc/agent-gateway. */}}
{{- define "agent-gateway.secretMounts" -}}
{{- $mounts := dict
  "secrets/sql" .Values.sql.existingSecret
  "secrets/redis" .Values.redis.existingSecret
  "auth" .Values.auth.existingSecret
  "secrets/encryption-key" .Values.dynamicAccounts.encryptionKey.existingSecret
  "secrets/account-tokens" (include "agent-gateway.tokensSecret" .)
  "tls/sql" .Values.sql.tls.existingSecret
  "tls/grpc" .Values.grpc.tls.existingSecret
  "tls/rest" .Values.rest.tls.existingSecret }}
{{- range .Values.dynamicAccounts.kubeconfigSecrets }}
{{- $_ := set $mounts (printf "kubeconfigs/%s" .) . }}
{{- end }}
{{- $present := dict }}
{{- range $directory, $secret := $mounts }}
{{- if $secret }}{{ $_ := set $present $directory $secret }}{{ end }}
{{- end }}
{{- toYaml $present }}
{{- end }}
