{{/* Refuses users' additions to the pods that cannot override the chart's own; the message names the value. */}}
{{- define "orderfleet.checks.extras" -}}
{{- range $key := list "api" "orderWorker" "shippingWorker" "temporal" }}
{{- $values := get $.Values $key }}
{{- include "orderfleet.checks.once" (dict "path" (printf "%s.extraEnv" $key) "field" "name" "items" $values.extraEnv) }}
{{- if hasKey $values "extraVolumes" }}
{{- $own := list "postgres-ca" "temporal-ca" "temporal-cert" }}
{{- include "orderfleet.checks.once" (dict "path" (printf "%s.extraVolumes" $key) "field" "name" "items" $values.extraVolumes "own" $own) }}
{{- $own = list "/etc/orderfleet/postgres" "/etc/orderfleet/temporal-ca" "/etc/orderfleet/temporal-cert" }}
{{- include "orderfleet.checks.once" (dict "path" (printf "%s.extraVolumeMounts" $key) "field" "mountPath" "items" $values.extraVolumeMounts "own" $own) }}
{{- end }}
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
