{{/*
The PromQL by which the services scale. Two rules hold for every query: it selects the series of this
release alone, and no data is an error, never 0: a dead Prometheus must not scale anything down.
*/}}

{{/* PromQL matchers of a component's pods: dict "root" "component", "queue" if the series have one. */}}
{{- define "orderfleet.series" -}}
namespace={{ .root.Release.Namespace | quote }}, pod=~"{{ include "orderfleet.fullname" .root }}-{{ .component }}-.+"
{{- with .queue }}, task_queue={{ . | quote }}{{ end }}
{{- end -}}

{{/*
Pods that the slots in use ask for: dict "root" "component" "values" "queue". Both kinds, as workflow
tasks and activities fill up each for itself.
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
{{- /* Without a pod there is no series. 0 is told only if Temporal itself sees nobody poll the queue. */}}
{{- if .values.autoscaling.scaleToZero }} or max(orderfleet_task_queue_pollers{ {{- include "orderfleet.series" (merge (dict "component" "api") .) }}}) == 0
{{- end }}
{{- end -}}

{{/* Tasks that wait: dict "root" "queue". Every API pod tells the same of the whole queue. */}}
{{- define "orderfleet.query.backlog" -}}
sum(max by (task_queue, type) (orderfleet_task_queue_backlog{ {{- include "orderfleet.series" (merge (dict "component" "api") .) }}}))
{{- end -}}

{{/*
Requests a second: dict "root" "component". Pods that are scraped and have counted none yet have 0,
or an API that nobody calls after a rollout would stay as large as it is.
*/}}
{{- define "orderfleet.query.requests" -}}
{{- $series := include "orderfleet.series" . -}}
sum(rate(orderfleet_http_requests_total{ {{- $series -}} }[1m])) or 0 * sum(orderfleet_http_requests_in_progress{ {{- $series -}} }) unless sum(orderfleet_http_requests_total{ {{- $series -}} })
{{- end -}}
