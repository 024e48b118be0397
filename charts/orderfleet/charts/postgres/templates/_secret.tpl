{{- define "postgres.secret" -}}
{{- .Values.existingSecret | default (printf "%s-postgres" (include "orderfleet.fullname" .)) -}}
{{- end -}}

{{/* A password as an environment variable: dict "root" "name" (of the variable) "key" (of secretKeys). */}}
{{- define "postgres.password" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "postgres.secret" .root | quote }}
      key: {{ get .root.Values.secretKeys .key | quote }}
{{- end -}}
