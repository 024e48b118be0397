{{/* The shipping worker's environment. */}}
{{- define "orderfleet.shippingWorker.config" -}}
{{ include "orderfleet.workerConfig" (dict "root" . "values" .Values.shippingWorker) }}
ORDERFLEET_CARRIER_URL: {{ .Values.shippingWorker.carrierUrl | quote }}
{{- if .Values.shippingWorker.carrierSecret }}
ORDERFLEET_CARRIER_CREDENTIALS: /etc/orderfleet/carrier
{{- end }}
{{- end -}}
