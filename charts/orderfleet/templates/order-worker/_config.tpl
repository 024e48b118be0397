{{/* The order worker's environment. */}}
{{- define "orderfleet.orderWorker.config" -}}
{{ include "orderfleet.workerConfig" (dict "root" . "values" .Values.orderWorker) }}
ORDERFLEET_PAYMENT_GATEWAY_URL: {{ .Values.orderWorker.paymentGatewayUrl | quote }}
{{- if .Values.orderWorker.paymentGatewaySecret }}
ORDERFLEET_PAYMENT_GATEWAY_CREDENTIALS: /etc/orderfleet/payment-gateway
{{- end }}
ORDERFLEET_RECONCILE_SECONDS: {{ .Values.orderWorker.reconcileSeconds | quote }}
ORDERFLEET_FORGET_AFTER_DAYS: {{ .Values.orderWorker.forgetAfterDays | quote }}
{{- end -}}
