{{/* Pods: the chart's own part of each, and the fields that the values set in every pod. */}}

{{/*
The template of a pod, for a Deployment, StatefulSet, Job or CronJob: dict "root" "component", "uid" (of the
image's user), "values" (a list of values with the fields below; the last wins), "spec" (text: what this component
alone has) and optionally "annotations" and "spread" (topologySpreadConstraints; an empty list is the default).
*/}}
{{- define "orderfleet.pod" -}}
{{- $spec := fromYaml .spec -}}
{{- with $spec.Error }}{{ fail (printf "%s: %s" $.component .) }}{{ end -}}
{{- $main := first $spec.containers -}}
{{- $own := dict
  "podAnnotations" (.annotations | default dict)
  "podSecurityContext" (include "orderfleet.pod.security" . | fromYaml)
  "containerSecurityContext" (dict
    "allowPrivilegeEscalation" false
    "readOnlyRootFilesystem" true
    "capabilities" (dict "drop" (list "ALL"))
  )
-}}
{{- $own = merge $own (pick $main "startupProbe" "livenessProbe" "readinessProbe") -}}
{{- if hasKey . "spread" }}{{ $_ := set $own "tolerations" (include "orderfleet.pod.lostNode" .root | fromYamlArray) }}{{ end -}}
{{- $fields := include "orderfleet.pod.fields" (concat (list $own .root.Values.global.pods) .values) | fromJson -}}
{{- range $container := concat ($spec.initContainers | default list) $spec.containers }}
{{- include "orderfleet.pod.set" (dict "in" . "fields" (dict
  "securityContext" $fields.containerSecurityContext
  "env" (include "orderfleet.mergedEnv" (dict "own" .env "extra" $fields.extraEnv) | fromJsonArray)
  "envFrom" (concat (.envFrom | default list) ($fields.extraEnvFrom | default list))
  "volumeMounts" (concat (.volumeMounts | default list) ($fields.extraVolumeMounts | default list))
)) }}
{{- end }}
{{- range list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- if hasKey $main . }}
{{- include "orderfleet.pod.set" (dict "in" $main "fields" (dict . (get $fields .))) }}
{{- end }}
{{- end }}
{{- /* The chart's own Secrets are readable by the volumes' group, by all where the volumes have none. */ -}}
{{- range $spec.volumes }}
{{- if and (dig "secret" "defaultMode" 0 .) (not (dig "podSecurityContext" "fsGroup" "" $fields)) }}
{{- $_ := set .secret "defaultMode" 0444 }}
{{- end }}
{{- end }}
{{- /* The extra ones first: a proxy that is a sidecar has to run before the chart's own wait for the database. */ -}}
{{- include "orderfleet.pod.set" (dict "in" $spec "fields" (dict
  "initContainers" (concat ($fields.extraInitContainers | default list) ($spec.initContainers | default list))
  "containers" (concat $spec.containers ($fields.extraContainers | default list))
  "volumes" (concat ($spec.volumes | default list) ($fields.extraVolumes | default list))
  "securityContext" $fields.podSecurityContext
)) }}
{{- range $name, $value := include "orderfleet.pod.common" . | fromYaml }}{{ $_ := set $spec $name $value }}{{ end }}
{{- range list "nodeSelector" "affinity" "tolerations" "priorityClassName" "runtimeClassName" "dnsPolicy" "dnsConfig" "hostAliases" }}
{{- include "orderfleet.pod.set" (dict "in" $spec "fields" (dict . (get $fields .))) }}
{{- end }}
{{- $labels := include "orderfleet.podLabels" (dict "root" .root "component" .component "more" $fields.podLabels) | fromYaml -}}
{{- $metadata := dict "labels" $labels -}}
{{- with $fields.podAnnotations }}{{ $_ := set $metadata "annotations" . }}{{ end -}}
{{- dict "metadata" $metadata "spec" $spec | toYaml -}}
{{- end -}}

{{/* Sets the fields that are not empty, and removes the others: dict "in" (an object) "fields" (a dict). */}}
{{- define "orderfleet.pod.set" -}}
{{- range $name, $value := .fields -}}
{{- if $value }}{{ $_ := set $.in $name $value }}{{ else }}{{ $_ := unset $.in $name }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
The fields that values set in every pod, of a list of values. Lists add up, objects take over field by field, and
null removes what was there before: the chart's own as well. charts/schema.py has their descriptions.
*/}}
{{- define "orderfleet.pod.fields" -}}
{{- $fields := dict -}}
{{- $names := list
  "podLabels" "podAnnotations" "podSecurityContext" "containerSecurityContext"
  "extraContainers" "extraInitContainers" "extraEnv" "extraEnvFrom" "extraVolumes" "extraVolumeMounts"
  "startupProbe" "livenessProbe" "readinessProbe"
  "nodeSelector" "affinity" "tolerations" "priorityClassName" "runtimeClassName"
  "dnsPolicy" "dnsConfig" "hostAliases"
-}}
{{- range $values := . -}}
{{- range $name := $names -}}
{{- if hasKey $values $name -}}
{{- $value := get $values $name -}}
{{- $before := get $fields $name | default list -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $fields $name -}}
{{- else if eq $name "extraEnv" -}}
{{- $_ := set $fields $name (include "orderfleet.mergedEnv" (dict "own" $before "extra" $value) | fromJsonArray) -}}
{{- else if kindIs "slice" $value -}}
{{- $_ := set $fields $name (concat $before $value) -}}
{{- else if kindIs "map" $value -}}
{{- $_ := set $fields $name (include "orderfleet.pod.field" (dict "before" $before "value" $value) | fromJson) -}}
{{- else if $value -}}
{{- $_ := set $fields $name $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $fields -}}
{{- end -}}

{{/* An object's fields after `value` has taken over: dict "before" "value". A probe has one handler alone. */}}
{{- define "orderfleet.pod.field" -}}
{{- $field := .before | default dict | deepCopy -}}
{{- $handlers := list "exec" "grpc" "httpGet" "tcpSocket" -}}
{{- range $name, $_ := .value }}{{ if has $name $handlers }}{{ range $handlers }}{{ $_ := unset $field . }}{{ end }}{{ end }}{{ end -}}
{{- range $name, $value := .value -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $field $name }}{{ else }}{{ $_ := set $field $name $value }}{{ end -}}
{{- end -}}
{{- toJson $field -}}
{{- end -}}

{{/*
The chart's own variables and more. One of `extra` replaces an own one of the same name, because the API server
accepts no duplicate name, and an own file of the same credential, because the process accepts no credential from
two places: dict "own" "extra" (lists).
*/}}
{{- define "orderfleet.mergedEnv" -}}
{{- $names := list -}}
{{- range .extra }}
{{- $names = append $names .name -}}
{{- if eq .name "PGPASSWORD" }}{{ $names = append $names "DATABASE_PASSWORD_FILE" }}{{ end -}}
{{- end -}}
{{- $kept := list -}}
{{- range .own }}{{ if not (or (has .name $names) (has (trimSuffix "_FILE" .name) $names)) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- concat $kept (.extra | default list) | toJson -}}
{{- end -}}

{{/* What every pod has: dict "root", and of orderfleet.pod "component" and "spread". */}}
{{- define "orderfleet.pod.common" -}}
serviceAccountName: {{ .root.Values.global.serviceAccount.name | default (include "orderfleet.fullname" .root) | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
  {{- toYaml .spread | nindent 2 }}
{{- else if hasKey . "spread" }}
topologySpreadConstraints:
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
{{- end -}}

{{/*
How long a pod waits for its lost node, where Kubernetes' default is 300 s. Not Postgres: no second pod of it may
start while the first one may still write to the volume. Of two tolerations of a taint the shorter one counts.
*/}}
{{- define "orderfleet.pod.lostNode" -}}
{{- range list "not-ready" "unreachable" }}
- key: node.kubernetes.io/{{ . }}
  operator: Exists
  effect: NoExecute
  tolerationSeconds: {{ $.Values.global.lostNodeSeconds }}
{{- end }}
{{- end -}}

{{/* Security context of a pod, before the values' own: dict "root" "uid". */}}
{{- define "orderfleet.pod.security" -}}
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

{{/*
Annotations of a pod that exports metrics: dict "root" "own" and "secrets", whose change replaces the pod: a list
of NAME/KEY, or NAME for all keys of a Secret.
*/}}
{{- define "orderfleet.podAnnotations" -}}
{{- $all := deepCopy .own -}}
{{- with include "orderfleet.changedSecrets" . }}{{ $_ := set $all "checksum/secrets" . }}{{ end -}}
{{- if .root.Values.global.metrics.annotations -}}
{{- $all = merge $all (dict "prometheus.io/scrape" "true" "prometheus.io/port" "9090" "prometheus.io/path" "/metrics") -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* A memory quantity in bytes. */}}
{{- define "orderfleet.bytes" -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- mulf ($number | float64) (get $units (trimPrefix $number $text)) | int64 -}}
{{- end -}}
