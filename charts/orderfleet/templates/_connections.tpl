{{/* Connections to Postgres and Temporal, the release's own or external. All take the parent chart's root. */}}

{{/* The hosts of Postgres with their ports, as in a URL: a list as JSON. */}}
{{- define "orderfleet.postgres.hosts" -}}
{{- $postgres := .Values.postgres -}}
{{- $hosts := list (printf "%s-postgres" (include "orderfleet.fullname" .)) -}}
{{- if not $postgres.enabled }}{{ $hosts = $postgres.hosts | default (list $postgres.host) }}{{ end -}}
{{- $found := list -}}
{{- range $hosts -}}
{{- $host := gt (len (splitList ":" .)) 2 | ternary (printf "[%s]" (trimAll "[]" .)) . -}}
{{- if hasPrefix "[" . }}{{ $host = . }}{{ end -}}
{{- $found = append $found (regexMatch ":[0-9]+$" (regexReplaceAll "^\\[.*\\]" $host "") | ternary $host (printf "%s:%v" $host $postgres.port)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* The Secret and the key of a role's password: dict "root" "role" (owner or fleet). */}}
{{- define "orderfleet.postgres.password" -}}
{{- $postgres := .root.Values.postgres -}}
{{- $own := get $postgres (printf "%sSecret" .role) -}}
{{- if $own.name -}}
{{- dict "name" $own.name "key" $own.key | toJson -}}
{{- else -}}
{{- $name := $postgres.existingSecret | default (printf "%s-postgres" (include "orderfleet.fullname" .root)) -}}
{{- dict "name" $name "key" (get $postgres.secretKeys .role) | toJson -}}
{{- end -}}
{{- end -}}

{{/*
URL without a password, which DATABASE_PASSWORD_FILE supplies: dict "root" "user". asyncpg, unlike psql, does not
look up the system's CA certificates by default, so the URL has their path.
*/}}
{{- define "orderfleet.postgres.url" -}}
{{- $postgres := .root.Values.postgres -}}
postgresql://{{ .user | urlquery }}@{{ include "orderfleet.postgres.hosts" .root | fromJsonArray | join "," }}/{{ $postgres.database | urlquery }}?sslmode={{ $postgres.enabled | ternary "disable" $postgres.sslMode }}
{{- if $postgres.caSecret }}&sslrootcert=/etc/orderfleet/postgres/ca.crt
{{- else if and (not $postgres.enabled) (hasPrefix "verify" $postgres.sslMode) }}&sslrootcert=/etc/ssl/certs/ca-certificates.crt
{{- end }}
{{- end -}}

{{- define "orderfleet.temporal.address" -}}
{{- .Values.temporal.enabled | ternary (printf "%s-temporal:7233" (include "orderfleet.fullname" .)) .Values.temporal.address -}}
{{- end -}}

{{/* The SDK and the temporal CLI both read variables of these names. */}}
{{- define "orderfleet.temporal.config" -}}
TEMPORAL_ADDRESS: {{ include "orderfleet.temporal.address" . | quote }}
TEMPORAL_NAMESPACE: {{ .Values.temporal.namespace.name | quote }}
{{- with .Values.temporal }}
{{- if and (not .enabled) .tls.enabled }}
TEMPORAL_TLS: "true"
{{- with .tls.serverName }}
TEMPORAL_TLS_SERVER_NAME: {{ . | quote }}
{{- end }}
{{- if .tls.caSecret }}
TEMPORAL_TLS_SERVER_CA_CERT_PATH: /etc/orderfleet/temporal-ca/ca.crt
{{- end }}
{{- if .tls.certSecret }}
TEMPORAL_TLS_CLIENT_CERT_PATH: /etc/orderfleet/temporal-cert/tls.crt
TEMPORAL_TLS_CLIENT_KEY_PATH: /etc/orderfleet/temporal-cert/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Temporal's API key, for its CLI, which reads no file. */}}
{{- define "orderfleet.temporal.env" -}}
{{- with .Values.temporal }}
{{- if and (not .enabled) .apiKey.existingSecret }}
- name: TEMPORAL_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .apiKey.existingSecret | quote }}
      key: {{ .apiKey.key | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Temporal's API key, for the services. */}}
{{- define "orderfleet.temporal.keyFile.env" -}}
{{- if and (not .Values.temporal.enabled) .Values.temporal.apiKey.existingSecret }}
- name: TEMPORAL_API_KEY_FILE
  value: /etc/orderfleet/temporal-api-key/key
{{- end }}
{{- end -}}

{{- define "orderfleet.temporal.keyFile.mounts" -}}
{{- if and (not .Values.temporal.enabled) .Values.temporal.apiKey.existingSecret }}
- name: temporal-api-key
  mountPath: /etc/orderfleet/temporal-api-key
  readOnly: true
{{- end }}
{{- end -}}

{{- define "orderfleet.temporal.keyFile.volumes" -}}
{{- if and (not .Values.temporal.enabled) .Values.temporal.apiKey.existingSecret }}
- name: temporal-api-key
  secret:
    secretName: {{ .Values.temporal.apiKey.existingSecret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .Values.temporal.apiKey.key | quote }}
        path: key
{{- end }}
{{- end -}}

{{- define "orderfleet.postgres.env" -}}
- name: DATABASE_PASSWORD_FILE
  value: /etc/orderfleet/postgres-password/password
{{- end -}}

{{- define "orderfleet.postgres.mounts" -}}
- name: postgres-password
  mountPath: /etc/orderfleet/postgres-password
  readOnly: true
{{ include "orderfleet.postgres.caMounts" . }}
{{- end -}}

{{/* The authority alone, for programs of Postgres. Takes the root. */}}
{{- define "orderfleet.postgres.caMounts" -}}
{{- if .Values.postgres.caSecret -}}
- name: postgres-ca
  mountPath: /etc/orderfleet/postgres
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "orderfleet.postgres.caVolumes" -}}
{{- with .Values.postgres.caSecret -}}
- name: postgres-ca
  secret:
    secretName: {{ . | quote }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end -}}
{{- end -}}

{{/* The password of a role, and the authority: dict "root" "role" (owner or fleet). */}}
{{- define "orderfleet.postgres.volumes" -}}
{{- $password := include "orderfleet.postgres.password" . | fromJson -}}
- name: postgres-password
  secret:
    secretName: {{ $password.name | quote }}
    defaultMode: 0440
    items:
      - key: {{ $password.key | quote }}
        path: password
{{ include "orderfleet.postgres.caVolumes" .root }}
{{- end -}}

{{- define "orderfleet.temporal.mounts" -}}
{{- with .Values.temporal }}
{{- if and (not .enabled) .tls.enabled }}
{{- if .tls.caSecret }}
- name: temporal-ca
  mountPath: /etc/orderfleet/temporal-ca
  readOnly: true
{{- end }}
{{- if .tls.certSecret }}
- name: temporal-cert
  mountPath: /etc/orderfleet/temporal-cert
  readOnly: true
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "orderfleet.temporal.volumes" -}}
{{- with .Values.temporal }}
{{- if and (not .enabled) .tls.enabled }}
{{- with .tls.caSecret }}
- name: temporal-ca
  secret:
    secretName: {{ . | quote }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- with .tls.certSecret }}
- name: temporal-cert
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "orderfleet.api.secret" -}}
{{- .Values.api.auth.existingSecret | default (printf "%s-api-keys" (include "orderfleet.fullname" .)) -}}
{{- end -}}

{{/* The API's keys, without the plain one, which is the test's. */}}
{{- define "orderfleet.api.mounts" -}}
{{- if and (eq .component "api") (not .root.Values.api.auth.open) }}
- name: api-keys
  mountPath: /etc/orderfleet/api-keys
  readOnly: true
{{- end }}
{{- end -}}

{{- define "orderfleet.api.volumes" -}}
{{- if and (eq .component "api") (not .root.Values.api.auth.open) }}
- name: api-keys
  secret:
    secretName: {{ include "orderfleet.api.secret" .root | quote }}
    defaultMode: 0440
    items:
      - key: keys
        path: keys
{{- end }}
{{- end -}}

{{/* Credentials of a worker's gateway: dict "gateway" (a name) "gatewaySecret" (empty for none). */}}
{{- define "orderfleet.gateway.mounts" -}}
{{- if .gatewaySecret }}
- name: {{ .gateway }}
  mountPath: /etc/orderfleet/{{ .gateway }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "orderfleet.gateway.volumes" -}}
{{- if .gatewaySecret }}
- name: {{ .gateway }}
  secret:
    secretName: {{ .gatewaySecret | quote }}
{{- end }}
{{- end -}}
