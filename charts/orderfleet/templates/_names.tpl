{{/* Names, labels and images of every object. All take the root of the chart or of a subchart. */}}

{{- define "orderfleet.fullname" -}}
{{- $name := .Values.global.fullnameOverride | default (contains "orderfleet" .Release.Name | ternary .Release.Name (printf "%s-orderfleet" .Release.Name)) -}}
{{- /*
35 is 63 minus the longest suffix, `-temporal-namespace-` and a hash of 8. 35 also fits 52, the limit of
names that Kubernetes and KEDA extend, minus `-shipping-worker`. A name that is truncated, or that has dots
from the release's name, gets a hash of the full name, which keeps names distinct.
*/ -}}
{{- if or (gt (len $name) 35) (contains "." $name) -}}
{{- printf "%s-%s" ($name | replace "." "-" | trunc 26 | trimSuffix "-") ($name | sha256sum | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* Labels that select a component's pods: dict "root" "component". These labels never change. */}}
{{- define "orderfleet.selector" -}}
app.kubernetes.io/name: orderfleet
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object: dict "root" "component". */}}
{{- define "orderfleet.labels" -}}
{{- $labels := include "orderfleet.selector" . | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "orderfleet" -}}
{{- $_ := set $labels "app.kubernetes.io/version" (.root.Chart.AppVersion | toString) -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_")) -}}
{{- mergeOverwrite (deepCopy .root.Values.global.commonLabels) $labels | toYaml -}}
{{- end -}}

{{- define "orderfleet.namespace" -}}
{{- .Values.global.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/*
Metadata of an object: dict "root" "component", and optionally "name" (else the component's), "labels" (the
chart's own win) and "annotations" (which win over global.commonAnnotations).
*/}}
{{- define "orderfleet.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "orderfleet.fullname" .root) .component) }}
{{- with .root.Values.global.namespaceOverride }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- mergeOverwrite (deepCopy (.labels | default dict)) (include "orderfleet.labels" . | fromYaml) | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy .root.Values.global.commonAnnotations) (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
Labels of a pod: dict "root" "component", "more" (optional). No version label: a new version would restart
unchanged pods.
*/}}
{{- define "orderfleet.podLabels" -}}
{{- mergeOverwrite (deepCopy .root.Values.global.commonLabels) (deepCopy (.more | default dict)) (include "orderfleet.selector" . | fromYaml) (dict "app.kubernetes.io/part-of" "orderfleet") | toYaml -}}
{{- end -}}

{{/* Image and pull policy of a container: dict "root" "image". */}}
{{- define "orderfleet.image" -}}
{{- $registry := .root.Values.global.imageRegistry -}}
{{- $name := empty $registry | ternary .image.repository (printf "%s/%s" $registry .image.repository) -}}
image: {{ empty .image.digest | ternary (printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion | toString)) (printf "%s@%s" $name .image.digest) | quote }}
imagePullPolicy: {{ .image.pullPolicy }}
{{- end -}}
