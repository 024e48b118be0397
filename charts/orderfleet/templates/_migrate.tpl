{{/* The container that migrates: dict "root" and optionally "waitSeconds" (for Postgres). */}}
{{- define "orderfleet.migrate.container" -}}
- name: migrate
  {{- include "orderfleet.image" (dict "root" .root "image" .root.Values.api.image) | nindent 2 }}
  command: [orderfleet-migrate]
  env:
    - name: DATABASE_URL
      value: {{ include "orderfleet.postgres.url" (dict "root" .root "user" .root.Values.postgres.ownerUser) | quote }}
    {{- include "orderfleet.postgres.env" .root | nindent 4 }}
    - name: ORDERFLEET_DATABASE_ROLE
      value: {{ .root.Values.postgres.user | quote }}
    - name: ORDERFLEET_LOG_FORMAT
      value: json
    {{- with .waitSeconds }}
    - name: ORDERFLEET_START_WAIT_SECONDS
      value: {{ . | quote }}
    {{- end }}
  resources:
    {{- toYaml .root.Values.global.jobs.resources | nindent 4 }}
  volumeMounts:
    {{- include "orderfleet.postgres.mounts" .root | trim | nindent 4 }}
{{- end -}}
