{{/* Secrets that Helm reads from the cluster (`lookup`). Where charts are only rendered, Helm reads none. */}}

{{/*
An annotation of a Secret that the chart creates, with hashes of the Secret's initial data: dict "live"
"data". From these hashes a later upgrade detects what somebody has changed since.
*/}}
{{- define "orderfleet.made" -}}
{{- if .live -}}
{{- with get (.live.metadata.annotations | default dict) "orderfleet/made" -}}
orderfleet/made: {{ . | quote }}
{{- end -}}
{{- else -}}
{{- $made := dict -}}
{{- range $key, $value := .data }}{{ $_ := set $made $key ($value | sha256sum | trunc 16) }}{{ end -}}
orderfleet/made: {{ toJson $made | quote }}
{{- end -}}
{{- end -}}

{{/*
A hash of the data that pods take from Secrets when they start: dict "root" "secrets" (each NAME/KEY, or NAME for all keys
of a Secret). Empty while the chart's own Secrets have their initial data, so that the first upgrade
replaces no pod.
*/}}
{{- define "orderfleet.changedSecrets" -}}
{{- $found := dict -}}
{{- range $wanted := without (.secrets | default list) "" -}}
{{- $name := splitList "/" $wanted | first -}}
{{- $live := lookup "v1" "Secret" (include "orderfleet.namespace" $.root) $name -}}
{{- if $live -}}
{{- $made := get ($live.metadata.annotations | default dict) "orderfleet/made" | default "{}" | fromJson -}}
{{- range $key, $value := $live.data -}}
{{- $id := printf "%s/%s" $name $key -}}
{{- if and (has $wanted (list $name $id)) (ne (get $made $key) ($value | sha256sum | trunc 16)) -}}
{{- $_ := set $found $id $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $found }}{{ toJson . | sha256sum }}{{ end -}}
{{- end -}}
