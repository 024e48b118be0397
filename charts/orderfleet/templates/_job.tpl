{{/*
A Job whose name has a hash of its pod template: dict "root" "component" "uid" "spec" as of orderfleet.pod, with
global.jobs and the optional "values" before it. A Job is immutable, so a changed pod template needs a new Job.
An unchanged template is no change, also for `kubectl apply`.
"once" (optional): the first failure is final, other than of a pod that is evicted or whose node is lost.
"keepSeconds" (optional): how long the finished Job stays.
*/}}
{{- define "orderfleet.job" -}}
{{- $values := append (.values | default list) .root.Values.global.jobs -}}
{{- $pod := include "orderfleet.pod" (merge (dict "values" $values) .) -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "orderfleet.metadata" (dict
    "root" .root
    "component" .component
    "name" (printf "%s-%s-%s" (include "orderfleet.fullname" .root) .component ($pod | sha256sum | trunc 8))
  ) | nindent 2 }}
spec:
  {{- if .once }}
  backoffLimit: 0
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - {type: DisruptionTarget, status: "True"}
  {{- else }}
  # What a Job waits for may take minutes to come up; a pod that fails is repeated after 10, 20, 40 s.
  backoffLimit: 10
  {{- end }}
  {{- with .keepSeconds }}
  ttlSecondsAfterFinished: {{ int . }}
  {{- end }}
  template:
    {{- $pod | nindent 4 }}
{{- end -}}
