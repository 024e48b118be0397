{{/* The Temporal server's environment variables, as the server's own configuration template reads them. */}}
{{- define "temporal.env" -}}
- name: DB
  value: postgres12_pgx
- name: POSTGRES_SEEDS
  value: {{ include "temporal.postgres.host" . | quote }}
- name: DB_PORT
  value: {{ .Values.postgres.port | quote }}
- name: POSTGRES_USER
  value: {{ .Values.postgres.user | quote }}
{{- include "temporal.postgres.password" (dict "root" . "name" "POSTGRES_PWD") | nindent 0 }}
- name: DBNAME
  value: {{ .Values.postgres.database | quote }}
- name: VISIBILITY_DBNAME
  value: {{ .Values.postgres.visibilityDatabase | quote }}
# The driver's: a connection to a pod that is gone is else waited for as long as the
# kernel does, two minutes, and no other is opened meanwhile.
- name: PGCONNECT_TIMEOUT
  value: "3"
- name: SQL_MAX_CONNS
  value: {{ .Values.postgres.maxConnections | quote }}
- name: SQL_MAX_IDLE_CONNS
  value: {{ .Values.postgres.maxConnections | quote }}
{{- if .Values.postgres.tls.enabled }}
- name: SQL_TLS_ENABLED
  value: "true"
- name: SQL_HOST_VERIFICATION
  value: "true"
- name: SQL_HOST_NAME
  value: {{ include "temporal.postgres.host" . | quote }}
{{- if .Values.postgres.tls.caSecret }}
- name: SQL_CA
  value: /etc/temporal/postgres-ca/ca.crt
{{- end }}
{{- end }}
- name: NUM_HISTORY_SHARDS
  value: {{ .Values.historyShards | quote }}
- name: BIND_ON_IP
  value: {{ include "orderfleet.listenHost" . | quote }}
{{- if .Values.global.ipv6 }}
# Made of the address above, without brackets, if they are not given.
- name: PUBLIC_FRONTEND_ADDRESS
  value: localhost:7233
- name: CLUSTER_RPC_ADDRESS
  value: {{ include "orderfleet.fullname" . }}-temporal:7233
- name: CLUSTER_HTTP_ADDRESS
  value: {{ include "orderfleet.fullname" . }}-temporal:7243
{{- end }}
# The address by which the pods of one ring reach each other.
- name: TEMPORAL_BROADCAST_ADDRESS
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: PROMETHEUS_ENDPOINT
  value: ":9090"
- name: DYNAMIC_CONFIG_FILE_PATH
  value: /etc/temporal/dynamic-config/dynamic-config.yaml
- name: LOG_LEVEL
  value: {{ .Values.logLevel }}
# The driver asks the system for it, which does not know every uid that a cluster chooses.
- name: USER
  value: temporal
{{- with .Values.resources.limits.memory }}
# The garbage collector then works harder instead of being killed.
- name: GOMEMLIMIT
  value: {{ include "orderfleet.bytes" . | float64 | mulf 0.9 | int64 | quote }}
{{- end }}
{{- end -}}
