{{/* Refuses autoscaling that could not scale, and scaling to zero without scaleToZero. */}}
{{- define "orderfleet.checks.autoscaling" -}}
{{- $auto := .Values.autoscaling }}
{{- $modes := dict }}
{{- range $key := list "api" "orderWorker" "shippingWorker" }}
{{- $values := get $.Values $key }}
{{- $mode := include "orderfleet.scaling.mode" (dict "root" $ "values" $values) }}
{{- $path := $values.autoscaling.mode | empty | ternary "autoscaling.mode" (printf "%s.autoscaling.mode" $key) }}
{{- $_ := set $modes $mode $path }}
{{- if and (eq $mode "cpu") (ne $key "api") }}
{{- fail (printf "%s: cpu is for the API alone, as a worker that waits for a slow gateway uses no CPU" $path) }}
{{- end }}
{{- with $values.autoscaling }}
{{- $zero := .scaleToZero | default false }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "%s.autoscaling.maxReplicas: %v is less than minReplicas, %v" $key .maxReplicas .minReplicas) }}
{{- end }}
{{- if and (eq (int .minReplicas) 0) (not $zero) }}
{{- fail (printf "%s.autoscaling.minReplicas: 0 needs scaleToZero, as orders after a pause may time out before a pod is there" $key) }}
{{- end }}
{{- if and $zero (ne (int .minReplicas) 0) }}
{{- fail (printf "%s.autoscaling.minReplicas: has to be 0 with scaleToZero, got %v" $key .minReplicas) }}
{{- end }}
{{- if and $zero (ne $mode "keda") }}
{{- fail (printf "%s.autoscaling.scaleToZero: needs %s keda, got %s" $key $path $mode) }}
{{- end }}
{{- if and $zero $.Values.api.admission }}
{{- fail (printf "api.admission: has to be false with %s.autoscaling.scaleToZero, as the API refuses orders while no worker polls" $key) }}
{{- end }}
{{- if and $zero $.Values.alerts.enabled }}
{{- range list "MetricsMissing" "TaskQueueWithoutPollers" }}
{{- if not (has . $.Values.alerts.disabled) }}
{{- fail (printf "alerts.disabled: has to have %s with %s.autoscaling.scaleToZero, as it fires when no pod is there" . $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $mode "hpa") (ne $key "api") }}
{{- $name := eq $key "orderWorker" | ternary "taskQueue" "shippingTaskQueue" }}
{{- $queue := get $.Values.orders $name }}
{{- if not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$" $queue) }}
{{- fail (printf "orders.%s: %q cannot be a label's value, which %s hpa needs" $name $queue $path) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (hasKey $modes "keda") (hasKey $modes "hpa") }}
{{- fail (printf "%s: hpa cannot be beside keda of %s, as a cluster has one server of external metrics" $modes.hpa $modes.keda) }}
{{- end }}
{{- if and (hasKey $modes "keda") (not $auto.prometheus.address) }}
{{- fail (printf "autoscaling.prometheus.address: needed when %s is keda" $modes.keda) }}
{{- end }}
{{- if and $auto.prometheus.authModes (not $auto.prometheus.authentication) }}
{{- fail "autoscaling.prometheus.authentication: needed with autoscaling.prometheus.authModes" }}
{{- end }}
{{- $temporal := and (hasKey $modes "keda") (eq $auto.keda.backlogFrom "temporal") }}
{{- if and $auto.keda.temporalAuthentication (ne $auto.keda.backlogFrom "temporal") }}
{{- fail "autoscaling.keda.temporalAuthentication: only with autoscaling.keda.backlogFrom temporal" }}
{{- end }}
{{- with .Values.temporal }}
{{- if and $temporal (not .enabled) (or .tls.enabled .apiKey.existingSecret) (not $auto.keda.temporalAuthentication) }}
{{- fail "autoscaling.keda.temporalAuthentication: needed, as KEDA speaks TLS to Temporal only with a certificate or an API key" }}
{{- end }}
{{- if and $temporal .enabled $auto.keda.temporalAuthentication }}
{{- fail "autoscaling.keda.temporalAuthentication: only for a Temporal that is there already, not with temporal.enabled" }}
{{- end }}
{{- if and $temporal .enabled $.Values.global.networkPolicy.enabled (not .allowFrom) }}
{{- fail "temporal.allowFrom: has to let KEDA's operator in when autoscaling.keda.backlogFrom is temporal" }}
{{- end }}
{{- end }}
{{- end -}}
