{{/* Connection of Temporal to its Postgres. */}}

{{- define "temporal.postgres.host" -}}
{{- .Values.postgres.host | default (printf "%s-postgres" (include "orderfleet.fullname" .)) -}}
{{- end -}}

{{- define "temporal.postgres.secret" -}}
{{- .Values.postgres.existingSecret | default (printf "%s-postgres" (include "orderfleet.fullname" .)) -}}
{{- end -}}

{{/* The password of Temporal's role as an environment variable: dict "root" "name". */}}
{{- define "temporal.postgres.password" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "temporal.postgres.secret" .root | quote }}
      key: {{ .root.Values.postgres.passwordKey | quote }}
{{- end -}}

{{/* Environment of temporal-sql-tool. */}}
{{- define "temporal.postgres.sqlTool" -}}
- name: SQL_PLUGIN
  value: postgres12_pgx
- name: SQL_HOST
  value: {{ include "temporal.postgres.host" . | quote }}
- name: SQL_PORT
  value: {{ .Values.postgres.port | quote }}
- name: USER
  value: temporal
- name: SQL_USER
  value: {{ .Values.postgres.user | quote }}
# The driver's: else a connection that nobody answers is waited for two minutes.
- name: PGCONNECT_TIMEOUT
  value: "3"
{{- if .Values.postgres.tls.enabled }}
- name: SQL_TLS
  value: "true"
{{- if .Values.postgres.tls.caSecret }}
- name: SQL_TLS_CA_FILE
  value: /etc/temporal/postgres-ca/ca.crt
{{- end }}
{{- end }}
{{ include "temporal.postgres.password" (dict "root" . "name" "SQL_PASSWORD") }}
{{- end -}}

{{/* Environment of psql. */}}
{{- define "temporal.postgres.psql" -}}
- name: PGHOST
  value: {{ include "temporal.postgres.host" . | quote }}
- name: PGPORT
  value: {{ .Values.postgres.port | quote }}
- name: PGUSER
  value: {{ .Values.postgres.user | quote }}
- name: PGCONNECT_TIMEOUT
  value: "3"
{{- if .Values.postgres.tls.enabled }}
- name: PGSSLMODE
  value: verify-full
- name: PGSSLROOTCERT
  value: {{ empty .Values.postgres.tls.caSecret | ternary "system" "/etc/temporal/postgres-ca/ca.crt" }}
{{- end }}
{{ include "temporal.postgres.password" (dict "root" . "name" "PGPASSWORD") }}
{{- end -}}

{{- define "temporal.postgres.mounts" -}}
{{- if .Values.postgres.tls.caSecret }}
- name: postgres-ca
  mountPath: /etc/temporal/postgres-ca
  readOnly: true
{{- end }}
{{- end -}}

{{- define "temporal.postgres.volumes" -}}
{{- with .Values.postgres.tls.caSecret }}
- name: postgres-ca
  secret:
    secretName: {{ . | quote }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end -}}

{{- define "temporal.postgres.egress" -}}
{{- if .Values.postgres.host -}}
- ports:
    - port: {{ .Values.postgres.port }}
{{- else -}}
{{- include "orderfleet.egress.component" (dict "root" . "component" "postgres" "port" 5432) }}
{{- end }}
{{- end -}}
