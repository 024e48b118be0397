{{/*
The PromQL queries that scale the services. Two rules hold for every query: the query selects the series
of this release alone, and missing data is an error, never 0: a dead Prometheus must not scale anything down.
*/}}

{{/* PromQL matchers of a component's pods: dict "root" "component", "queue" if the series have that label. */}}
{{- define "orderfleet.series" -}}
namespace={{ include "orderfleet.namespace" .root | quote }}, pod=~"{{ include "orderfleet.fullname" .root }}-{{ .component }}-.+"
{{- with .queue }}, task_queue={{ . | quote }}{{ end }}
{{- end -}}

{{/*
Number of pods that the slots in use require: dict "root" "component" "values" "queue". The query covers
both kinds of slots, because workflow tasks and activities fill their slots independently.
*/}}
{{- define "orderfleet.query.slots" -}}
{{- $series := include "orderfleet.series" . -}}
{{- $target := divf .values.autoscaling.slotTargetPercent 100 -}}
max(
{{- range $index, $kind := list "Activity" "Workflow" }}
{{- $slots := get $.values (printf "%sSlots" (lower $kind)) | int }}
{{- if $index }} or {{ end -}}
sum by (worker_type) (temporal_worker_task_slots_used{ {{- $series }}, worker_type="{{ $kind }}Worker"}) / ({{ $target }} * {{ $slots }})
{{- end }})
{{- if .values.autoscaling.scaleToZero }} or {{ include "orderfleet.query.unpolled" . }}
{{- end }}
{{- end -}}

{{/* 0 if Temporal itself sees no poller of the queue: without a pod no series exists. dict "root" "queue". */}}
{{- define "orderfleet.query.unpolled" -}}
max(orderfleet_task_queue_pollers{ {{- include "orderfleet.series" (merge (dict "component" "api") .) }}}) == 0
{{- end -}}

{{/*
Cores in use: dict "root" "component" "values" "queue". Where a core is full before the slots are,
admission keeps slots in use and backlog below their targets.
*/}}
{{- define "orderfleet.query.cores" -}}
sum(rate(process_cpu_seconds_total{ {{- include "orderfleet.series" (dict "root" .root "component" .component) }}}[1m]))
{{- if .values.autoscaling.scaleToZero }} or {{ include "orderfleet.query.unpolled" . }}
{{- end }}
{{- end -}}

{{/* Waiting tasks: dict "root" "queue". Every API pod exports the same value, for the whole queue. */}}
{{- define "orderfleet.query.backlog" -}}
sum(max by (task_queue, type) (orderfleet_task_queue_backlog{ {{- include "orderfleet.series" (merge (dict "component" "api") .) }}}))
{{- end -}}

{{/*
Requests per second: dict "root" "component". Scraped pods that have not counted a request yet have 0.
Otherwise an API without requests after a rollout would keep its size.
*/}}
{{- define "orderfleet.query.requests" -}}
{{- $series := include "orderfleet.series" . -}}
sum(rate(orderfleet_http_requests_total{ {{- $series -}} }[1m])) or 0 * sum(orderfleet_http_requests_in_progress{ {{- $series -}} }) unless sum(orderfleet_http_requests_total{ {{- $series -}} })
{{- end -}}
