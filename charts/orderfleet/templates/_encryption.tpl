{{/* Keys that encrypt what Temporal stores of orders: docs/encryption.md. All take the parent chart's root. */}}

{{- define "orderfleet.encryption.secret" -}}
{{- .Values.global.encryption.existingSecret | default (printf "%s-payload-keys" (include "orderfleet.fullname" .)) -}}
{{- end -}}

{{- define "orderfleet.encryption.config" -}}
{{- with .Values.global.encryption }}
{{- if .enabled }}
ORDERFLEET_PAYLOAD_KEYS_FILE: /etc/orderfleet/payload-keys/keys
ORDERFLEET_PLAIN_PAYLOADS: {{ .plainPayloads | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "orderfleet.encryption.mounts" -}}
{{- if .Values.global.encryption.enabled }}
- name: payload-keys
  mountPath: /etc/orderfleet/payload-keys
  readOnly: true
{{- end }}
{{- end -}}

{{/* A volume of the whole Secret follows it; the pods read a changed file again. */}}
{{- define "orderfleet.encryption.volumes" -}}
{{- if .Values.global.encryption.enabled }}
- name: payload-keys
  secret:
    secretName: {{ include "orderfleet.encryption.secret" . | quote }}
    defaultMode: 0440
    items:
      - key: keys
        path: keys
{{- end }}
{{- end -}}
