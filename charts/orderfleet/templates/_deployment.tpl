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
  name: {{ include "orderfleet.fullname" .root }}-{{ .component }}
  labels:
    {{- include "orderfleet.labels" . | nindent 4 }}
data:
  {{- .config | nindent 2 }}
{{- end -}}

{{/*
A service's Deployment: dict "root" "component" "key" (of the service's values) "values" "config"
"waitFor" (the dependencies that `orderfleet-wait` waits for), for the API "ports" and "env", and for a
worker "gateway" (a name) with "gatewaySecret", which the pod follows while it runs.
*/}}
{{- define "orderfleet.deployment" -}}
{{- $name := printf "%s-%s" (include "orderfleet.fullname" .root) .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels:
    {{- include "orderfleet.labels" . | nindent 4 }}
spec:
  {{- if not (include "orderfleet.scaled" .) }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
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
    metadata:
      labels:
        {{- include "orderfleet.podLabels" (dict "root" .root "component" .component "more" .values.podLabels) | nindent 8 }}
      annotations:
        {{- include "orderfleet.podAnnotations" (dict
          "root" .root
          "own" (dict "checksum/config" (sha256sum .config) "kubectl.kubernetes.io/default-container" .component)
          "more" .values.podAnnotations
        ) | nindent 8 }}
    spec:
      {{- include "orderfleet.podSecurity" (dict "root" .root "uid" 10001) | nindent 6 }}
      terminationGracePeriodSeconds: {{ include "orderfleet.gracePeriod" . }}
      {{- include "orderfleet.scheduling" . | nindent 6 }}
      initContainers:
        - name: wait
          {{- include "orderfleet.image" (dict "root" .root "image" .values.image) | nindent 10 }}
          command: [orderfleet-wait, {{ join ", " .waitFor }}]
          {{- include "orderfleet.containerSecurity" . | nindent 10 }}
          envFrom:
            {{- include "orderfleet.envFrom" . | nindent 12 }}
          env:
            {{- $wait := dict "name" "ORDERFLEET_START_WAIT_SECONDS" "value" (toString .root.Values.global.jobs.waitSeconds) }}
            {{- include "orderfleet.env" (merge (dict "more" (list $wait)) .) | nindent 12 }}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          {{- include "orderfleet.volumeMounts" . | nindent 10 }}
      containers:
        - name: {{ .component }}
          {{- include "orderfleet.image" (dict "root" .root "image" .values.image) | nindent 10 }}
          {{- include "orderfleet.containerSecurity" . | nindent 10 }}
          envFrom:
            {{- include "orderfleet.envFrom" . | nindent 12 }}
          env:
            {{- include "orderfleet.env" . | nindent 12 }}
          ports:
            {{- with .ports }}
            {{- . | nindent 12 }}
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
            {{- toYaml .values.resources | nindent 12 }}
          {{- include "orderfleet.volumeMounts" . | nindent 10 }}
      {{- $volumes := include "orderfleet.volumes" . | trim }}
      {{- if $volumes }}
      volumes:
        {{- $volumes | nindent 8 }}
      {{- end }}
{{- end -}}

{{- define "orderfleet.envFrom" -}}
- configMapRef:
    name: {{ include "orderfleet.fullname" .root }}-{{ .component }}
{{- with .values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "orderfleet.env" -}}
{{- $own := list (include "orderfleet.ownEnv" .) -}}
{{- with .more }}{{ $own = append $own (toYaml .) }}{{ end -}}
{{- include "orderfleet.mergedEnv" (dict "own" (join "\n" $own) "extra" .values.extraEnv) -}}
{{- end -}}

{{/*
The chart's own variables and extraEnv's. A variable of extraEnv replaces the chart's own of the same
name, because the API server accepts no duplicate name, and its own file of the same credential, because
the process accepts no credential from two places: dict "own" (text) "extra" (list).
*/}}
{{- define "orderfleet.mergedEnv" -}}
{{- $names := list -}}
{{- range .extra }}
{{- $names = append $names .name -}}
{{- if eq .name "PGPASSWORD" }}{{ $names = append $names "DATABASE_PASSWORD_FILE" }}{{ end -}}
{{- end -}}
{{- $kept := list -}}
{{- range .own | fromYamlArray }}{{ if not (or (has .name $names) (has (trimSuffix "_FILE" .name) $names)) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- concat $kept .extra | toYaml -}}
{{- end -}}

{{- define "orderfleet.ownEnv" -}}
{{ include "orderfleet.postgres.env" . }}
{{- include "orderfleet.temporal.keyFile.env" .root }}
{{- with .env }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "orderfleet.volumeMounts" -}}
{{- $mounts := list (include "orderfleet.postgres.mounts" .root) (include "orderfleet.temporal.mounts" .root) (include "orderfleet.temporal.keyFile.mounts" .root) (include "orderfleet.encryption.mounts" .root) (include "orderfleet.api.mounts" .) (include "orderfleet.gateway.mounts" .) (.values.extraVolumeMounts | empty | ternary "" (toYaml .values.extraVolumeMounts)) | join "\n" | trim -}}
{{- with $mounts -}}
volumeMounts:
  {{- regexReplaceAll "\n+" . "\n" | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "orderfleet.volumes" -}}
{{- $volumes := list (include "orderfleet.postgres.volumes" (dict "root" .root "key" "fleet")) (include "orderfleet.temporal.volumes" .root) (include "orderfleet.temporal.keyFile.volumes" .root) (include "orderfleet.encryption.volumes" .root) (include "orderfleet.api.volumes" .) (include "orderfleet.gateway.volumes" .) (.values.extraVolumes | empty | ternary "" (toYaml .values.extraVolumes)) | join "\n" | trim -}}
{{- regexReplaceAll "\n+" $volumes "\n" -}}
{{- end -}}
