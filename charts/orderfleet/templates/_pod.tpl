{{/* Parts of every pod: service account, security context, scheduling. */}}

{{/* Service account and security context, at the start of a pod's spec: dict "root" "uid". */}}
{{- define "orderfleet.podSecurity" -}}
serviceAccountName: {{ .root.Values.global.serviceAccount.name | default (include "orderfleet.fullname" .root) | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- if .root.Values.global.fixedIds }}
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* Security context of every container. */}}
{{- define "orderfleet.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Scheduling constraints of a pod: dict "root" "component" "values". */}}
{{- define "orderfleet.scheduling" -}}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- if hasKey .values "topologySpreadConstraints" }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "orderfleet.selector" $ | nindent 8 }}
    # Pods of the version that goes away do not count.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
A PodDisruptionBudget: dict "root" "component" "values". None for a single pod: the budget would block
every drain of the pod's node.
*/}}
{{- define "orderfleet.disruptionBudget" -}}
{{- if and .values.podDisruptionBudget.enabled (gt (include "orderfleet.leastReplicas" . | int) 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "orderfleet.fullname" .root }}-{{ .component }}
  labels:
    {{- include "orderfleet.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  # A pod that does not become ready does not hold up a drain either.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "orderfleet.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{/*
Annotations of a pod that exports metrics: dict "root" "own" "more" (the user's, which take precedence),
and "secrets", whose change replaces the pod: a list of NAME/KEY, or NAME for all keys of a Secret.
*/}}
{{- define "orderfleet.podAnnotations" -}}
{{- $all := deepCopy .own -}}
{{- with include "orderfleet.changedSecrets" . }}{{ $_ := set $all "checksum/secrets" . }}{{ end -}}
{{- if .root.Values.global.metrics.annotations -}}
{{- $all = merge $all (dict "prometheus.io/scrape" "true" "prometheus.io/port" "9090" "prometheus.io/path" "/metrics") -}}
{{- end -}}
{{- mergeOverwrite $all .more | toYaml -}}
{{- end -}}

{{/* A memory quantity in bytes. */}}
{{- define "orderfleet.bytes" -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- mulf ($number | float64) (get $units (trimPrefix $number $text)) | int64 -}}
{{- end -}}
