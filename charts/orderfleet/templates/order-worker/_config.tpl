{{/* The order worker's environment. */}}
{{- define "orderfleet.orderWorker.config" -}}
{{ include "orderfleet.workerConfig" (dict "root" . "values" .Values.orderWorker) }}
ORDERFLEET_PAYMENT_GATEWAY_URL: {{ .Values.orderWorker.paymentGatewayUrl | quote }}
ORDERFLEET_RECONCILE_SECONDS: {{ .Values.orderWorker.reconcileSeconds | quote }}
{{- end -}}
