{{/*
Checks that the schema cannot express: invalid combinations of values, and names that other charts use.
Each message is a single sentence that names the value.
*/}}
{{- define "orderfleet.checks" -}}
{{- $renamed := dict
  "replicaCount" "api.replicas, orderWorker.replicas and shippingWorker.replicas"
  "image" "api.image, orderWorker.image and shippingWorker.image"
  "imagePullSecrets" "global.imagePullSecrets"
  "commonLabels" "global.commonLabels"
  "fullnameOverride" "global.fullnameOverride"
  "nameOverride" "global.fullnameOverride"
  "serviceAccount" "global.serviceAccount"
  "networkPolicy" "global.networkPolicy"
  "ingress" "api.ingress"
  "service" "api.service"
  "postgresql" "postgres"
  "externalDatabase" "postgres.host"
-}}
{{- range $old, $new := $renamed }}
{{- if hasKey $.Values $old }}
{{- fail (printf "%s: this chart calls it %s" $old $new) }}
{{- end }}
{{- end }}
{{- with .Values.postgres }}
{{- if and (not .enabled) (not .host) }}
{{- fail "postgres.host: needed when postgres.enabled is false" }}
{{- end }}
{{- if and (not .enabled) (not .existingSecret) }}
{{- fail "postgres.existingSecret: needed when postgres.enabled is false" }}
{{- end }}
{{- if and .enabled .host }}
{{- fail (printf "postgres.host: %s would not be used: set postgres.enabled to false" .host) }}
{{- end }}
{{- end }}
{{- with .Values.temporal }}
{{- if .enabled }}
{{- if .address }}
{{- fail (printf "temporal.address: %s would not be used: set temporal.enabled to false" .address) }}
{{- end }}
{{- if .tls.enabled }}
{{- fail "temporal.tls.enabled: only for a Temporal that is there already, not with temporal.enabled" }}
{{- end }}
{{- if .apiKey.existingSecret }}
{{- fail "temporal.apiKey.existingSecret: only for a Temporal that is there already, not with temporal.enabled" }}
{{- end }}
{{- if not (or $.Values.postgres.enabled .postgres.host) }}
{{- fail "temporal.postgres.host: needed for an own Temporal when postgres.enabled is false" }}
{{- end }}
{{- if and .postgres.host (not .postgres.existingSecret) }}
{{- fail "temporal.postgres.existingSecret: needed with temporal.postgres.host" }}
{{- end }}
{{- if and (not .postgres.host) (ne .postgres.existingSecret $.Values.postgres.existingSecret) }}
{{- fail "temporal.postgres.existingSecret: has to be postgres.existingSecret, which has the passwords of the release's own Postgres" }}
{{- end }}
{{- if and (not .postgres.host) (ne .postgres.passwordKey $.Values.postgres.secretKeys.temporal) }}
{{- fail "temporal.postgres.passwordKey: has to be postgres.secretKeys.temporal" }}
{{- end }}
{{- if and (not .postgres.host) (ne (list .postgres.user .postgres.database .postgres.visibilityDatabase | join " ") "temporal temporal temporal_visibility") }}
{{- fail "temporal.postgres: the release's own Postgres has the role temporal and the databases temporal and temporal_visibility" }}
{{- end }}
{{- else }}
{{- if not (regexMatch "^.+:[0-9]+$" .address) }}
{{- fail (printf "temporal.address: wanted host:port when temporal.enabled is false, got %q" .address) }}
{{- end }}
{{- if and (or .tls.caSecret .tls.certSecret .tls.serverName) (not .tls.enabled) }}
{{- fail "temporal.tls.enabled: needed for the other values of temporal.tls" }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key := list "orderWorker" "shippingWorker" }}
{{- $queue := eq $key "orderWorker" | ternary "taskQueue" "shippingTaskQueue" }}
{{- if not (get $.Values.orders $queue) }}
{{- fail (printf "orders.%s: must not be empty" $queue) }}
{{- end }}
{{- end }}
{{- if eq .Values.orders.taskQueue .Values.orders.shippingTaskQueue }}
{{- fail (printf "orders.shippingTaskQueue: must differ from orders.taskQueue, got %q twice" .Values.orders.taskQueue) }}
{{- end }}
{{- include "orderfleet.checks.extras" . }}
{{- include "orderfleet.checks.running" . }}
{{- include "orderfleet.checks.autoscaling" . }}
{{- include "orderfleet.checks.connections" . }}
{{- include "orderfleet.checks.versioning" . }}
{{- if and .Values.api.auth.open .Values.api.tenantRates }}
{{- fail "api.tenantRates: the names are those of API keys, which api.auth.open does without" }}
{{- end }}
{{- with .Values.api.httpRoute }}
{{- if and .enabled (not .parentRefs) }}
{{- fail "api.httpRoute.parentRefs: needed when api.httpRoute.enabled is true" }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Connections to Postgres at the maximum number of pods, plus the pods of an upgrade: 1 of each service,
or as many again of workers that are versions. The API has one beside its pool, which reads the events.
Temporal's connections count too: each of its four services has a pool for each of its two databases.
10 are for the Jobs.
*/}}
{{- define "orderfleet.checks.connections" -}}
{{- $needed := 10 }}
{{- range $key := list "api" "orderWorker" "shippingWorker" }}
{{- $values := get $.Values $key }}
{{- $pods := include "orderfleet.scaled" (dict "root" $ "values" $values) | empty | not | ternary $values.autoscaling.maxReplicas $values.replicas }}
{{- $more := include "orderfleet.versioned" (dict "root" $ "values" $values) | empty | ternary 1 $pods }}
{{- $connections := eq $key "api" | ternary (add $values.databasePoolSize 1) $values.databasePoolSize }}
{{- $needed = add $needed (mul (add $pods $more) $connections) }}
{{- end }}
{{- with .Values.temporal }}
{{- if and .enabled (not .postgres.host) }}
{{- $needed = add $needed (mul 8 .replicas .postgres.maxConnections) }}
{{- end }}
{{- end }}
{{- with .Values.postgres }}
{{- if and .enabled (hasKey .parameters "max_connections") (gt $needed (int .parameters.max_connections)) }}
{{- fail (printf "postgres.parameters.max_connections: %v is less than the %d that all pods may open (see databasePoolSize)" .parameters.max_connections $needed) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Refuses autoscaling that could not scale, and scaling to zero without scaleToZero. */}}
{{- define "orderfleet.checks.autoscaling" -}}
{{- $auto := .Values.autoscaling }}
{{- range $key := list "api" "orderWorker" "shippingWorker" }}
{{- with get (get $.Values $key) "autoscaling" }}
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
{{- if and $zero (ne $auto.mode "keda") }}
{{- fail (printf "%s.autoscaling.scaleToZero: needs autoscaling.mode keda, got %s" $key $auto.mode) }}
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
{{- end }}
{{- if and (eq $auto.mode "keda") (not $auto.prometheus.address) }}
{{- fail "autoscaling.prometheus.address: needed when autoscaling.mode is keda" }}
{{- end }}
{{- if and $auto.prometheus.authModes (not $auto.prometheus.authentication) }}
{{- fail "autoscaling.prometheus.authentication: needed with autoscaling.prometheus.authModes" }}
{{- end }}
{{- $temporal := and (eq $auto.mode "keda") (eq $auto.keda.backlogFrom "temporal") }}
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
{{- if eq $auto.mode "hpa" }}
{{- range $key := list "taskQueue" "shippingTaskQueue" }}
{{- $queue := get $.Values.orders $key }}
{{- if not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$" $queue) }}
{{- fail (printf "orders.%s: %q cannot be a label's value, which autoscaling.mode hpa needs" $key $queue) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
