{{/*
Seconds from a pod's deletion to SIGKILL: dict "component" "values". A process ends at most
drainSeconds + 5 s after SIGTERM (core's `runtime/process.py`); 2 s more are for the kubelet.
*/}}
{{- define "orderfleet.gracePeriod" -}}
{{- $needed := addf (.values.preStopSeconds | default 0) .values.drainSeconds 7 | ceil | int -}}
{{- $given := int .values.terminationGracePeriodSeconds -}}
{{- if and $given (lt $given $needed) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: %d is less than the %d s that a drain may take (drainSeconds, preStopSeconds and 7): leave it 0" .key $given $needed) -}}
{{- end -}}
{{- $given | default $needed -}}
{{- end -}}
