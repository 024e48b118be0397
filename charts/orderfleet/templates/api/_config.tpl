{{/* The API's environment. */}}
{{- define "orderfleet.api.config" -}}
{{ include "orderfleet.config" (dict "root" . "values" .Values.api) }}
ORDERFLEET_API_HOST: {{ include "orderfleet.listenHost" . | quote }}
ORDERFLEET_API_PORT: "8000"
ORDERFLEET_API_OPEN: {{ .Values.api.auth.open | quote }}
ORDERFLEET_ADMISSION: {{ .Values.api.admission | ternary "on" "off" | quote }}
{{- with .Values.global.encryption }}
{{- if .enabled }}
ORDERFLEET_CODEC_ORIGIN: {{ .codec.uiOrigin | quote }}
{{- end }}
{{- end }}
ORDERFLEET_TENANT_RATES: {{ .Values.api.tenantRates | quote }}
{{- $own := and .Values.temporal.enabled .Values.temporal.ui.enabled }}
ORDERFLEET_TEMPORAL_UI_URL: {{ .Values.api.links.temporalUi | default ($own | ternary .Values.global.encryption.codec.uiOrigin "") | quote }}
ORDERFLEET_TRACE_URL: {{ .Values.api.links.trace | quote }}
ORDER_DEADLINE_SECONDS: {{ .Values.orders.deadlineSeconds | quote }}
REVIEW_SECONDS: {{ .Values.orders.reviewSeconds | quote }}
{{- end -}}

{{/* Keys that are let in. */}}
{{- define "orderfleet.api.env" -}}
{{- if not .Values.api.auth.open }}
- name: ORDERFLEET_API_KEYS_FILE
  value: /etc/orderfleet/api-keys/keys
{{- end }}
{{- end -}}
