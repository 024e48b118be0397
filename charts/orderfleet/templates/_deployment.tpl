{{/* Templates that the three services share. */}}

{{/* Environment of every service, as a ConfigMap's data: dict "root" "values". */}}
{{- define "orderfleet.config" -}}
DATABASE_URL: {{ include "orderfleet.postgres.url" (dict "root" .root "user" .root.Values.postgres.user) | quote }}
ORDERFLEET_DATABASE_POOL_SIZE: {{ .values.databasePoolSize | quote }}
{{ include "orderfleet.temporal.config" .root }}
{{- include "orderfleet.encryption.config" .root }}
ORDER_TASK_QUEUE: {{ .root.Values.orders.taskQueue | quote }}
SHIPPING_TASK_QUEUE: {{ .root.Values.orders.shippingTaskQueue | quote }}
LOG_LEVEL: {{ .root.Values.logLevel | quote }}
ORDERFLEET_LOG_FORMAT: json
ORDERFLEET_PROBE_HOST: {{ include "orderfleet.listenHost" .root | quote }}
ORDERFLEET_PROBE_PORT: "9090"
ORDERFLEET_DRAIN_SECONDS: {{ .values.drainSeconds | quote }}
{{- with .root.Values.traces }}
{{- if .endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ .endpoint | quote }}
OTEL_EXPORTER_OTLP_PROTOCOL: {{ .protocol | quote }}
OTEL_TRACES_SAMPLER: {{ .sampler | quote }}
{{- with .samplerArg }}
OTEL_TRACES_SAMPLER_ARG: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Environment of both workers: dict "root" "values". */}}
{{- define "orderfleet.workerConfig" -}}
{{ include "orderfleet.config" . }}
ORDERFLEET_ACTIVITY_SLOTS: {{ .values.activitySlots | quote }}
ORDERFLEET_WORKFLOW_SLOTS: {{ .values.workflowSlots | quote }}
ORDERFLEET_CACHED_WORKFLOWS: {{ .values.cachedWorkflows | int | quote }}
ORDERFLEET_SANDBOX: {{ .values.sandbox | quote }}
ORDERFLEET_FLAKY: {{ .values.flaky | quote }}
{{ include "orderfleet.versioning.config" .root }}
{{- end -}}

{{- define "orderfleet.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "orderfleet.metadata" (pick . "root" "component") | nindent 2 }}
data:
  {{- .config | nindent 2 }}
{{- end -}}

{{/*
A service's Deployment: dict "root" "component" "key" (of the service's values) "values" "config"
"waitFor" (the dependencies that `orderfleet-wait` waits for), for the API "ports" and "env", and for a
worker "gateway" (a name) with "gatewaySecret", which the pod follows while it runs.
*/}}
{{- define "orderfleet.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- /* For `orderfleet doctor`, which does not read values. */}}
  {{- $own := .values.autoscaling.mode | empty | ternary dict (dict "orderfleet/scaling" .values.autoscaling.mode) }}
  {{- include "orderfleet.metadata" (dict "root" .root "component" .component "annotations" $own) | nindent 2 }}
spec:
  {{- if not (include "orderfleet.scaled" .) }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: {{ .root.Values.global.revisionHistoryLimit | int }}
  selector:
    matchLabels:
      {{- include "orderfleet.selector" . | nindent 6 }}
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      {{- if include "orderfleet.versioned" . }}
      # Once the new build is current, its pods get all new orders: they must be as many as the old ones.
      maxSurge: 100%
      {{- else }}
      maxSurge: 1
      {{- end }}
  template:
    {{- include "orderfleet.pod" (dict
      "root" .root
      "component" .component
      "uid" 10001
      "annotations" (include "orderfleet.podAnnotations" (dict
        "root" .root
        "own" (dict "checksum/config" (sha256sum .config) "kubectl.kubernetes.io/default-container" .component)
      ) | fromYaml)
      "spread" .values.topologySpreadConstraints
      "values" (list .values)
      "spec" (include "orderfleet.deployment.spec" .)
    ) | nindent 4 }}
{{- end -}}

{{- define "orderfleet.deployment.spec" -}}
terminationGracePeriodSeconds: {{ include "orderfleet.gracePeriod" . }}
initContainers:
  - name: wait
    {{- include "orderfleet.image" (dict "root" .root "image" .values.image) | nindent 4 }}
    command: [orderfleet-wait, {{ join ", " .waitFor }}]
    envFrom:
      {{- include "orderfleet.envFrom" . | nindent 6 }}
    env:
      {{- include "orderfleet.env" . | trim | nindent 6 }}
      - name: ORDERFLEET_START_WAIT_SECONDS
        value: {{ .root.Values.global.jobs.waitSeconds | quote }}
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    volumeMounts:
      {{- include "orderfleet.volumeMounts" . | nindent 6 }}
containers:
  - name: {{ .component }}
    {{- include "orderfleet.image" (dict "root" .root "image" .values.image) | nindent 4 }}
    envFrom:
      {{- include "orderfleet.envFrom" . | nindent 6 }}
    env:
      {{- include "orderfleet.env" . | trim | nindent 6 }}
    ports:
      {{- with .ports }}
      {{- . | nindent 6 }}
      {{- end }}
      - name: internal
        containerPort: 9090
    # Live: the event loop turns. A process waits up to 60 s for Postgres and Temporal first.
    startupProbe:
      httpGet: {path: /livez, port: internal}
      periodSeconds: 1
      timeoutSeconds: 2
      failureThreshold: 90
    livenessProbe:
      httpGet: {path: /livez, port: internal}
      periodSeconds: 10
      timeoutSeconds: 2
      failureThreshold: 3
    readinessProbe:
      httpGet: {path: /readyz, port: internal}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 2
    {{- with .values.preStopSeconds }}
    lifecycle:
      # Until every proxy has taken the pod off its list, requests still come.
      preStop:
        sleep:
          seconds: {{ . }}
    {{- end }}
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    volumeMounts:
      {{- include "orderfleet.volumeMounts" . | nindent 6 }}
volumes:
  {{- include "orderfleet.volumes" . | nindent 2 }}
{{- end -}}

{{- define "orderfleet.envFrom" -}}
- configMapRef:
    name: {{ include "orderfleet.fullname" .root }}-{{ .component }}
{{- end -}}

{{- define "orderfleet.env" -}}
{{ include "orderfleet.postgres.env" . }}
{{- include "orderfleet.temporal.keyFile.env" .root }}
{{- with .env }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "orderfleet.volumeMounts" -}}
{{- $mounts := list (include "orderfleet.postgres.mounts" .root) (include "orderfleet.temporal.mounts" .root) (include "orderfleet.temporal.keyFile.mounts" .root) (include "orderfleet.encryption.mounts" .root) (include "orderfleet.api.mounts" .) (include "orderfleet.gateway.mounts" .) | join "\n" | trim -}}
{{- regexReplaceAll "\n+" $mounts "\n" -}}
{{- end -}}

{{- define "orderfleet.volumes" -}}
{{- $volumes := list (include "orderfleet.postgres.volumes" (dict "root" .root "role" "fleet")) (include "orderfleet.temporal.volumes" .root) (include "orderfleet.temporal.keyFile.volumes" .root) (include "orderfleet.encryption.volumes" .root) (include "orderfleet.api.volumes" .) (include "orderfleet.gateway.volumes" .) | join "\n" | trim -}}
{{- regexReplaceAll "\n+" $volumes "\n" -}}
{{- end -}}
