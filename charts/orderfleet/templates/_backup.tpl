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
  {{- with .Values.backup.persistence }}
  {{- if .enabled }}
  persistentVolumeClaim:
    claimName: {{ .existingClaim | default (printf "%s-backups" (include "orderfleet.fullname" $)) | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .size }}
  {{- end }}
  {{- end }}
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
{{- if and .Values.backup.s3.bucket .Values.backup.s3.caSecret }}
- name: s3-ca
  secret:
    secretName: {{ .Values.backup.s3.caSecret | quote }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end -}}

{{/* The container that has rclone, without the rest of its environment: dict "root" "name" (of its script), "env". */}}
{{- define "orderfleet.backup.rclone" -}}
{{- $s3 := .root.Values.backup.s3 -}}
- name: {{ .name }}
  {{- include "orderfleet.image" (dict "root" .root "image" $s3.image) | nindent 2 }}
  command: [sh, -euc]
  args:
    - |
      {{- .root.Files.Get "files/rclone.sh" | trim | nindent 6 }}
      {{- .root.Files.Get (printf "files/%s.sh" .name) | trim | nindent 6 }}
  env:
    {{- $env := concat (include "orderfleet.backup.rclone.env" .root | fromYamlArray) (list .env) }}
    {{- include "orderfleet.mergedEnv" (dict "own" $env "extra" $s3.extraEnv) | fromJsonArray | toYaml | nindent 4 }}
  resources:
    {{- toYaml .root.Values.global.jobs.resources | nindent 4 }}
  volumeMounts:
    - name: backups
      mountPath: /backups
      readOnly: {{ eq .name "upload" }}
    - name: tmp
      mountPath: /tmp
    {{- if $s3.caSecret }}
    - name: s3-ca
      mountPath: /etc/orderfleet/s3-ca
      readOnly: true
    {{- end }}
{{- end -}}

{{/* All that rclone is told, so that no command has a credential. Takes the root. */}}
{{- define "orderfleet.backup.rclone.env" -}}
{{- with .Values.backup.s3 -}}
- name: BUCKET
  value: {{ empty .prefix | ternary .bucket (printf "%s/%s" .bucket .prefix) | quote }}
# In memory.
- name: RCLONE_CONFIG
  value: /dev/null
# An S3 that is away is tried for three minutes.
- name: RCLONE_RETRIES_SLEEP
  value: 10s
- name: RCLONE_LOW_LEVEL_RETRIES
  value: "5"
- name: RCLONE_CONFIG_BACKUPS_TYPE
  value: s3
- name: RCLONE_CONFIG_BACKUPS_PROVIDER
  value: {{ .provider | default (empty .endpoint | ternary "AWS" "Other") | quote }}
{{- with .endpoint }}
- name: RCLONE_CONFIG_BACKUPS_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .region }}
- name: RCLONE_CONFIG_BACKUPS_REGION
  value: {{ . | quote }}
{{- end }}
# The credentials may be for this bucket alone, and need not make one.
- name: RCLONE_CONFIG_BACKUPS_NO_CHECK_BUCKET
  value: "true"
{{- if .workloadIdentity }}
- name: RCLONE_CONFIG_BACKUPS_ENV_AUTH
  value: "true"
{{- else }}
- name: RCLONE_CONFIG_BACKUPS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret | quote }}
      key: {{ .secretKeys.accessKeyId | quote }}
- name: RCLONE_CONFIG_BACKUPS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret | quote }}
      key: {{ .secretKeys.secretAccessKey | quote }}
{{- end }}
{{- if .caSecret }}
- name: RCLONE_CA_CERT
  value: /etc/orderfleet/s3-ca/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{/* Egress to the fleet's Postgres and to Temporal's. */}}
{{- define "orderfleet.backup.egress" -}}
{{- include "orderfleet.egress.postgres" . }}
{{- if and .Values.temporal.enabled .Values.temporal.postgres.host }}
- ports:
    - port: {{ .Values.temporal.postgres.port }}
{{- end }}
{{- with .Values.backup.s3 }}
{{- if .bucket }}
{{ include "orderfleet.egress.urls" (list (.endpoint | default "https://s3.amazonaws.com")) | trim }}
{{- if .workloadIdentity }}
# Where a cloud gives credentials, and no other host.
- ports:
    - port: 80
  to:
    - ipBlock: {cidr: 169.254.0.0/16}
    - ipBlock: {cidr: "fd00:ec2::/32"}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
A CronJob: dict "root" "component" "schedule" "suspend" "spec" (of orderfleet.pod) and optionally "final" (the
container whose failure ends the Job).
*/}}
{{- define "orderfleet.cronJob" -}}
{{- $pod := include "orderfleet.pod" (merge (dict "uid" 999 "values" (list .root.Values.global.jobs)) (omit . "schedule" "suspend" "final")) -}}
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
      {{- with .final }}
      podFailurePolicy:
        rules:
          - action: Ignore
            onPodConditions:
              - {type: DisruptionTarget, status: "True"}
          # A new pod would dump once more, and the volume would lose an older backup each time.
          - action: FailJob
            onExitCodes: {containerName: {{ . }}, operator: NotIn, values: [0]}
      {{- end }}
      template:
        {{- $pod | nindent 8 }}
{{- end -}}

{{- define "orderfleet.checks.backup" -}}
{{- $backup := .Values.backup -}}
{{- $s3 := $backup.s3 -}}
{{- if $backup.enabled -}}
{{- if $s3.bucket }}
{{- if not (or $s3.existingSecret $s3.workloadIdentity) }}
{{- fail "backup.s3.existingSecret: needed with backup.s3.bucket, unless backup.s3.workloadIdentity is true" }}
{{- end }}
{{- if and $s3.existingSecret $s3.workloadIdentity }}
{{- fail (printf "backup.s3.existingSecret: %s would not be used: set backup.s3.workloadIdentity to false" $s3.existingSecret) }}
{{- end }}
{{- else }}
{{- range list "endpoint" "prefix" "existingSecret" }}
{{- with get $s3 . }}
{{- fail (printf "backup.s3.bucket: needed, as %s would not be used" .) }}
{{- end }}
{{- end }}
{{- if not $backup.persistence.enabled }}
{{- fail "backup.persistence.enabled: false needs backup.s3.bucket, as a backup would end with its pod" }}
{{- end }}
{{- end }}
{{- if and $backup.persistence.existingClaim (not $backup.persistence.enabled) }}
{{- fail (printf "backup.persistence.existingClaim: %s would not be used: set backup.persistence.enabled to true" $backup.persistence.existingClaim) }}
{{- end }}
{{- end }}
{{- include "orderfleet.checks.once" (dict "path" "backup.s3.extraEnv" "field" "name" "items" $s3.extraEnv) }}
{{- end -}}
