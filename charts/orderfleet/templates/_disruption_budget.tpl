{{/*
A PodDisruptionBudget: dict "root" "component" "values". None for a single pod: the budget would block
every drain of the pod's node.
*/}}
{{- define "orderfleet.disruptionBudget" -}}
{{- if and .values.podDisruptionBudget.enabled (gt (include "orderfleet.leastReplicas" . | int) 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "orderfleet.metadata" (pick . "root" "component") | nindent 2 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  # A pod that does not become ready does not hold up a drain either.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "orderfleet.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
