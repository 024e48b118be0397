{{/* The services' scalers. _scaling_queries.tpl has their queries. */}}

{{/* How a service is scaled: none, keda, hpa, cpu or external: dict "root" "values". Temporal has no scaler. */}}
{{- define "orderfleet.scaling.mode" -}}
{{- if hasKey .values "autoscaling" -}}
{{- .values.autoscaling.mode | default .root.Values.autoscaling.mode -}}
{{- else -}}
none
{{- end -}}
{{- end -}}

{{/* "true" if a scaler, the chart's or another, owns the replicas: dict "root" "values". */}}
{{- define "orderfleet.scaled" -}}
{{- if ne (include "orderfleet.scaling.mode" .) "none" -}}true{{- end -}}
{{- end -}}

{{/* Number of pods without any load: dict "root" "values". */}}
{{- define "orderfleet.leastReplicas" -}}
{{- if include "orderfleet.scaled" . }}{{ .values.autoscaling.minReplicas }}{{ else }}{{ .values.replicas }}{{ end -}}
{{- end -}}

{{/* A KEDA trigger that queries Prometheus: dict "root" "name" "query" "threshold". */}}
{{- define "orderfleet.trigger" -}}
{{- $prometheus := .root.Values.autoscaling.prometheus -}}
- type: prometheus
  name: {{ .name }}
  metricType: AverageValue
  metadata:
    serverAddress: {{ $prometheus.address | trimSuffix "/" | quote }}
    query: |-
      {{- .query | nindent 6 }}
    threshold: {{ .threshold | quote }}
    ignoreNullValues: "false"
    {{- with $prometheus.authModes }}
    authModes: {{ . | quote }}
    {{- end }}
  {{- with $prometheus.authentication }}
  authenticationRef:
    name: {{ . | quote }}
  {{- end }}
{{- end -}}

{{/*
A KEDA trigger that reads the backlog from Temporal: dict "root" "values" "queue". The release's own
Temporal runs in another namespace than KEDA.
*/}}
{{- define "orderfleet.trigger.temporal" -}}
{{- $temporal := .root.Values.temporal -}}
- type: temporal
  name: backlog
  metricType: AverageValue
  metadata:
    endpoint: {{ $temporal.enabled | ternary (include "orderfleet.temporal.address" .root | replace ":" (printf ".%s.svc:" (include "orderfleet.namespace" .root))) $temporal.address | quote }}
    namespace: {{ $temporal.namespace.name | quote }}
    taskQueue: {{ .queue | quote }}
    queueTypes: workflow,activity
    targetQueueSize: {{ .values.autoscaling.backlogTarget | int | quote }}
    {{- if and (not $temporal.enabled) $temporal.tls.serverName }}
    tlsServerName: {{ $temporal.tls.serverName | quote }}
    {{- end }}
  {{- with .root.Values.autoscaling.keda.temporalAuthentication }}
  authenticationRef:
    name: {{ . | quote }}
  {{- end }}
{{- end -}}

{{/* KEDA's triggers: dict "root" "component" "values", for a worker "queue". */}}
{{- define "orderfleet.triggers" -}}
{{- $auto := .values.autoscaling -}}
{{- if .queue -}}
{{ include "orderfleet.trigger" (dict "root" .root "name" "slots" "query" (include "orderfleet.query.slots" .) "threshold" 1) }}
{{ if eq .root.Values.autoscaling.keda.backlogFrom "temporal" -}}
{{ include "orderfleet.trigger.temporal" . }}
{{- else -}}
{{ include "orderfleet.trigger" (dict "root" .root "name" "backlog" "query" (include "orderfleet.query.backlog" .) "threshold" (int $auto.backlogTarget)) }}
{{- end }}
{{ include "orderfleet.trigger" (dict "root" .root "name" "cores" "query" (include "orderfleet.query.cores" .) "threshold" (divf $auto.coreTargetPercent 100)) }}
{{- else -}}
{{ include "orderfleet.trigger" (dict "root" .root "name" "requests" "query" (include "orderfleet.query.requests" .) "threshold" (int $auto.requestsTarget)) }}
{{- end }}
{{- end -}}

{{- define "orderfleet.scaledObject" -}}
{{- $keda := .root.Values.autoscaling.keda -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "orderfleet.metadata" (pick . "root" "component") | nindent 2 }}
spec:
  scaleTargetRef:
    name: {{ include "orderfleet.fullname" .root }}-{{ .component }}
  pollingInterval: {{ $keda.pollingSeconds }}
  cooldownPeriod: {{ $keda.cooldownSeconds }}
  minReplicaCount: {{ .values.autoscaling.minReplicas }}
  maxReplicaCount: {{ .values.autoscaling.maxReplicas }}
  # Of a signal that is away: as many pods as there are.
  fallback:
    failureThreshold: 3
    replicas: {{ max 1 .values.autoscaling.minReplicas }}
    behavior: currentReplicasIfHigher
  {{- with .values.autoscaling.behavior }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- toYaml . | nindent 8 }}
  {{- end }}
  triggers:
    {{- include "orderfleet.triggers" . | nindent 4 }}
{{- end -}}

{{/* An external metric of docs/prometheus-adapter.yaml: dict "root" "name" "labels" "target". */}}
{{- define "orderfleet.metric" -}}
- type: External
  external:
    metric:
      name: {{ .name }}
      selector:
        matchLabels:
          release: {{ include "orderfleet.fullname" .root | quote }}
          {{- range $name, $value := .labels }}
          {{ $name }}: {{ $value | quote }}
          {{- end }}
    target:
      type: AverageValue
      averageValue: {{ .target | quote }}
{{- end -}}

{{/* Metrics of the HorizontalPodAutoscaler: dict "root" "component" "values", for a worker "queue". */}}
{{- define "orderfleet.metrics" -}}
{{- $auto := .values.autoscaling -}}
{{- if eq (include "orderfleet.scaling.mode" .) "cpu" -}}
# Of the service's container alone: a sidecar's CPU is no sign of orders.
- type: ContainerResource
  containerResource:
    name: cpu
    container: {{ .component }}
    target:
      type: AverageValue
      averageValue: {{ mul $auto.coreTargetPercent 10 }}m
{{- else if .queue -}}
{{- range $kind := list "Activity" "Workflow" -}}
{{- $slots := get $.values (printf "%sSlots" (lower $kind)) -}}
{{ include "orderfleet.metric" (dict "root" $.root "name" "orderfleet_slots_used" "labels" (dict "component" $.component "task_queue" $.queue "worker_type" (printf "%sWorker" $kind)) "target" (divf (mul $slots $auto.slotTargetPercent) 100)) }}
{{ end -}}
{{ include "orderfleet.metric" (dict "root" .root "name" "orderfleet_tasks_waiting" "labels" (dict "task_queue" .queue) "target" (int $auto.backlogTarget)) }}
{{ include "orderfleet.metric" (dict "root" .root "name" "orderfleet_cores_used" "labels" (dict "component" .component) "target" (divf $auto.coreTargetPercent 100)) }}
{{- else -}}
{{ include "orderfleet.metric" (dict "root" .root "name" "orderfleet_requests_per_second" "labels" (dict "component" .component) "target" (int $auto.requestsTarget)) }}
{{- end }}
{{- end -}}

{{- define "orderfleet.horizontalPodAutoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "orderfleet.metadata" (pick . "root" "component") | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "orderfleet.fullname" .root }}-{{ .component }}
  minReplicas: {{ .values.autoscaling.minReplicas }}
  maxReplicas: {{ .values.autoscaling.maxReplicas }}
  {{- with .values.autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  metrics:
    {{- include "orderfleet.metrics" . | nindent 4 }}
{{- end -}}

{{/* A service's ScaledObject or HorizontalPodAutoscaler: dict "root" "component" "values", for a worker "queue". */}}
{{- define "orderfleet.scaler" -}}
{{- $mode := include "orderfleet.scaling.mode" . -}}
{{- if eq $mode "keda" }}
{{- include "orderfleet.scaledObject" . }}
{{- else if has $mode (list "hpa" "cpu") }}
{{- include "orderfleet.horizontalPodAutoscaler" . }}
{{- end }}
{{- end -}}
