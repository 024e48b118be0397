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
{{- if and (not .enabled) (not .host) (not .hosts) }}
{{- fail "postgres.host: needed when postgres.enabled is false" }}
{{- end }}
{{- if and .host .hosts }}
{{- fail "postgres.hosts: set postgres.host or postgres.hosts" }}
{{- end }}
{{- if and (not .enabled) (not .existingSecret) (not (and .ownerSecret.name .fleetSecret.name)) }}
{{- fail "postgres.existingSecret: needed when postgres.enabled is false, unless postgres.ownerSecret.name and postgres.fleetSecret.name are set" }}
{{- end }}
{{- if and .enabled (or .host .hosts) }}
{{- fail (printf "postgres.host: %s would not be used: set postgres.enabled to false" (.host | default (join ", " .hosts))) }}
{{- end }}
{{- if and .enabled (or .ownerSecret.name .fleetSecret.name) }}
{{- fail "postgres.ownerSecret, postgres.fleetSecret: the chart's own Postgres takes all passwords from postgres.existingSecret" }}
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
{{- $read := get .dynamicConfig "matching.numTaskqueueReadPartitions" | default list }}
{{- range $write := get .dynamicConfig "matching.numTaskqueueWritePartitions" | default list }}
{{- range $read }}
{{- if and (eq (toJson .constraints) (toJson $write.constraints)) (lt (int .value) (int $write.value)) }}
{{- fail (printf "temporal.dynamicConfig: matching.numTaskqueueReadPartitions is %v, less than the %v that are written to" .value $write.value) }}
{{- end }}
{{- end }}
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
{{- include "orderfleet.checks.backup" . }}
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
