{{/*
Seconds from a pod's deletion to SIGKILL: dict "root" "key" "values". A process ends at most
drainSeconds + 5 s after SIGTERM (core's `runtime/process.py`); 2 s more are for the kubelet. A worker
that is a version first polls on for the orders pinned to its build, until their deadline and 2 s more.
*/}}
{{- define "orderfleet.gracePeriod" -}}
{{- $needed := addf (.values.preStopSeconds | default 0) .values.drainSeconds 7 -}}
{{- $parts := "drainSeconds, preStopSeconds and 7" -}}
{{- if include "orderfleet.versioned" . -}}
{{- $needed = addf $needed .root.Values.orders.deadlineSeconds 2 -}}
{{- $parts = "drainSeconds, orders.deadlineSeconds and 9" -}}
{{- end -}}
{{- $needed = ceil $needed | int -}}
{{- $given := int .values.terminationGracePeriodSeconds -}}
{{- if and $given (lt $given $needed) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: %d is less than the %d s that a drain may take (%s): leave it 0" .key $given $needed $parts) -}}
{{- end -}}
{{- $given | default $needed -}}
{{- end -}}
