{{/* Refuses users' additions to the pods that Kubernetes would refuse; the message names the value. */}}
{{- define "orderfleet.checks.extras" -}}
{{- $volumes := list "api-keys" "carrier" "payload-keys" "payment-gateway" "postgres-ca" "postgres-password" "s3-ca" "temporal-api-key" "temporal-ca" "temporal-cert" }}
{{- $mounts := list }}
{{- range $volumes }}{{ $mounts = append $mounts (printf "/etc/orderfleet/%s" (eq . "postgres-ca" | ternary "postgres" .)) }}{{ end }}
{{- $pods := dict "global.pods" .Values.global.pods "global.jobs" .Values.global.jobs "temporal.ui" .Values.temporal.ui }}
{{- range list "api" "orderWorker" "shippingWorker" "postgres" "temporal" }}{{ $_ := set $pods . (get $.Values .) }}{{ end }}
{{- range $path, $values := $pods }}
{{- include "orderfleet.checks.once" (dict "path" (printf "%s.extraEnv" $path) "field" "name" "items" $values.extraEnv) }}
{{- include "orderfleet.checks.once" (dict "path" (printf "%s.extraVolumes" $path) "field" "name" "items" $values.extraVolumes "own" $volumes) }}
{{- include "orderfleet.checks.once" (dict "path" (printf "%s.extraVolumeMounts" $path) "field" "mountPath" "items" $values.extraVolumeMounts "own" $mounts) }}
{{- end }}
{{- end -}}

{{/* Refuses duplicate names in a list, and the chart's own names: dict "path" "field" "items" "own". */}}
{{- define "orderfleet.checks.once" -}}
{{- $seen := list -}}
{{- range .items }}
{{- $name := get . $.field | default "" }}
{{- if has $name $seen }}
{{- fail (printf "%s: %s is there twice" $.path $name) }}
{{- end }}
{{- if has (trimSuffix "/" $name) ($.own | default list) }}
{{- fail (printf "%s: %s is the chart's own, choose another %s" $.path $name $.field) }}
{{- end }}
{{- $seen = append $seen $name }}
{{- end }}
{{- end -}}
