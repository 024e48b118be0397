{{/* Workers as versions of Temporal's worker deployments, and their gates: docs/versions.md. */}}

{{/* "true" if a service's pods are versions: dict "root" "values". The API polls no task queue. */}}
{{- define "orderfleet.versioned" -}}
{{- if and (hasKey .values "workflowSlots") .root.Values.versioning.enabled -}}true{{- end -}}
{{- end -}}

{{/* How both workers are versions, as a ConfigMap's data. */}}
{{- define "orderfleet.versioning.config" -}}
ORDERFLEET_VERSIONING: {{ .Values.versioning.enabled | ternary "on" "off" | quote }}
ORDERFLEET_VERSION_PROMOTION: {{ .Values.versioning.promotion | quote }}
{{- if .Values.versioning.enabled }}
# How long a worker that is told to stop waits for the orders of its build.
ORDER_DEADLINE_SECONDS: {{ .Values.orders.deadlineSeconds | quote }}
{{- end }}
{{- end -}}

{{/*
A worker's gate: dict "root" "component" (of the gate) "worker" (its component) "command" "values" (of the worker).
The Job has the worker's image, environment and dependencies. It is not a Helm hook: a hook after
the upgrade would run once the new pods are ready, and they are not ready before the gate has passed.
*/}}
{{- define "orderfleet.gate" -}}
{{- if and (include "orderfleet.versioned" .) (eq .root.Values.versioning.promotion "gate") }}
{{- include "orderfleet.job" (dict
  "root" .root
  "component" .component
  "uid" 10001
  "values" (list (pick .values "extraEnv" "extraEnvFrom" "extraVolumes" "extraVolumeMounts"))
  "spec" (include "orderfleet.gate.spec" .)
  "once" true
  "keepSeconds" .root.Values.versioning.gate.keepSeconds
) }}
---
{{ include "orderfleet.networkPolicy" (dict
  "root" .root
  "component" .component
  "egress" (list
    (include "orderfleet.egress.postgres" .root)
    (include "orderfleet.egress.temporal" .root)
    (.values.extraEgress | empty | ternary "" (toYaml .values.extraEgress))
  )
) }}
{{- end }}
{{- end -}}

{{- define "orderfleet.gate.spec" -}}
{{- $worker := merge (dict "component" .worker) . -}}
restartPolicy: Never
initContainers:
  # The gate's time begins when a worker can start.
  - name: wait
    {{- include "orderfleet.image" (dict "root" .root "image" .values.image) | nindent 4 }}
    command: [orderfleet-wait, postgres, temporal]
    envFrom:
      {{- include "orderfleet.envFrom" $worker | nindent 6 }}
    env:
      {{- include "orderfleet.env" $worker | trim | nindent 6 }}
      - name: ORDERFLEET_START_WAIT_SECONDS
        value: {{ .root.Values.global.jobs.waitSeconds | quote }}
    resources:
      {{- toYaml .root.Values.global.jobs.resources | nindent 6 }}
    volumeMounts:
      {{- include "orderfleet.volumeMounts" $worker | nindent 6 }}
containers:
  - name: {{ .component }}
    {{- include "orderfleet.image" (dict "root" .root "image" .values.image) | nindent 4 }}
    command: [{{ .command }}]
    envFrom:
      {{- include "orderfleet.envFrom" $worker | nindent 6 }}
    env:
      {{- include "orderfleet.env" $worker | trim | nindent 6 }}
      {{- include "orderfleet.gate.env" .root | nindent 6 }}
    # It replays workflows, as a worker does.
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    volumeMounts:
      {{- include "orderfleet.volumeMounts" $worker | nindent 6 }}
volumes:
  {{- include "orderfleet.volumes" $worker | nindent 2 }}
{{- end -}}

{{- define "orderfleet.gate.env" -}}
{{- with .Values.versioning.gate -}}
- name: ORDERFLEET_GATE_PERCENT
  value: {{ .percent | quote }}
- name: ORDERFLEET_GATE_LEAST_ORDERS
  value: {{ .leastOrders | int | quote }}
- name: ORDERFLEET_GATE_LEAST_SECONDS
  value: {{ .leastSeconds | quote }}
- name: ORDERFLEET_GATE_MOST_SECONDS
  value: {{ .mostSeconds | quote }}
- name: ORDERFLEET_GATE_WAIT_SECONDS
  value: {{ .waitSeconds | quote }}
{{- end -}}
{{- end -}}

{{/* Refuses a gate that could never pass. */}}
{{- define "orderfleet.checks.versioning" -}}
{{- with .Values.versioning }}
{{- if and .enabled (eq .promotion "gate") }}
{{- if gt (float64 .gate.leastSeconds) (float64 .gate.mostSeconds) }}
{{- fail (printf "versioning.gate.mostSeconds: %v is less than leastSeconds, %v" .gate.mostSeconds .gate.leastSeconds) }}
{{- end }}
{{- range $key := list "orderWorker" "shippingWorker" }}
{{- if eq (include "orderfleet.leastReplicas" (dict "root" $ "values" (get $.Values $key)) | int) 0 }}
{{- fail (printf "versioning.promotion: has to be self where %s may have no pods, as a gate waits for a pod of the new build" $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
