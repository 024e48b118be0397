{{/* The pods that back up and restore: those of a CronJob that runs, and of one that a person starts. */}}

{{/* The databases, by URLs without passwords. Takes the root. */}}
{{- define "orderfleet.backup.env" -}}
- name: FLEET_URL
  value: {{ printf "%s&target_session_attrs=read-write" (include "orderfleet.postgres.url" (dict "root" . "user" .Values.postgres.ownerUser)) | quote }}
{{- $password := include "orderfleet.postgres.password" (dict "root" . "role" "owner") | fromJson }}
- name: FLEET_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $password.name | quote }}
      key: {{ $password.key | quote }}
{{- if .Values.temporal.enabled }}
{{- $postgres := .Values.temporal.postgres }}
{{- $host := $postgres.host | default (printf "%s-postgres" (include "orderfleet.fullname" .)) }}
{{- $server := printf "postgresql://%s@%s:%v" ($postgres.user | urlquery) (contains ":" $host | ternary (printf "[%s]" $host) $host) $postgres.port }}
{{- $tls := "sslmode=disable" }}
{{- if $postgres.tls.enabled }}
{{- $tls = printf "sslmode=verify-full&sslrootcert=%s" (empty $postgres.tls.caSecret | ternary "system" "/etc/temporal/postgres-ca/ca.crt") }}
{{- end }}
- name: TEMPORAL_URL
  value: {{ printf "%s/%s?%s" $server ($postgres.database | urlquery) $tls | quote }}
- name: VISIBILITY_URL
  value: {{ printf "%s/%s?%s" $server ($postgres.visibilityDatabase | urlquery) $tls | quote }}
- name: TEMPORAL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $postgres.existingSecret | default (printf "%s-postgres" (include "orderfleet.fullname" .)) | quote }}
      key: {{ $postgres.passwordKey | quote }}
{{- end }}
{{- end -}}

{{- define "orderfleet.backup.mounts" -}}
- name: backups
  mountPath: /backups
- name: tmp
  mountPath: /tmp
{{ include "orderfleet.postgres.caMounts" . }}
{{- if and .Values.temporal.enabled .Values.temporal.postgres.tls.caSecret }}
- name: temporal-postgres-ca
  mountPath: /etc/temporal/postgres-ca
  readOnly: true
{{- end }}
{{- end -}}

{{- define "orderfleet.backup.volumes" -}}
- name: backups
  persistentVolumeClaim:
    claimName: {{ .Values.backup.persistence.existingClaim | default (printf "%s-backups" (include "orderfleet.fullname" .)) | quote }}
- name: tmp
  emptyDir: {}
{{- if and .Values.temporal.enabled .Values.temporal.postgres.tls.caSecret }}
- name: temporal-postgres-ca
  secret:
    secretName: {{ .Values.temporal.postgres.tls.caSecret | quote }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end -}}

{{/* Egress to the fleet's Postgres and to Temporal's. */}}
{{- define "orderfleet.backup.egress" -}}
{{- include "orderfleet.egress.postgres" . }}
{{- if and .Values.temporal.enabled .Values.temporal.postgres.host }}
- ports:
    - port: {{ .Values.temporal.postgres.port }}
{{- end }}
{{- end -}}

{{/* A CronJob: dict "root" "component" "schedule" "suspend" "spec" (of orderfleet.pod). */}}
{{- define "orderfleet.cronJob" -}}
{{- $pod := include "orderfleet.pod" (merge (dict "uid" 999 "values" (list .root.Values.global.jobs)) (omit . "schedule" "suspend")) -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  {{- include "orderfleet.metadata" (pick . "root" "component") | nindent 2 }}
spec:
  schedule: {{ .schedule | quote }}
  timeZone: Etc/UTC
  suspend: {{ .suspend }}
  concurrencyPolicy: Forbid
  # A backup that could not begin for so long waits for its next time.
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    metadata:
      labels:
        {{- include "orderfleet.labels" . | nindent 8 }}
    spec:
      activeDeadlineSeconds: {{ int .root.Values.backup.timeoutSeconds }}
      backoffLimit: {{ .suspend | ternary 0 3 }}
      template:
        {{- $pod | nindent 8 }}
{{- end -}}
