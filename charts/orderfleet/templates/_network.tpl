{{/* NetworkPolicies. A rule allows only the peers that the rule names. */}}

{{/* The address that pods listen on: `::` accepts both IP families. */}}
{{- define "orderfleet.listenHost" -}}
{{- .Values.global.ipv6 | ternary "::" "0.0.0.0" -}}
{{- end -}}

{{/* The IP families, at the start of a Service's spec. */}}
{{- define "orderfleet.ipFamilies" -}}
{{- if .Values.global.ipv6 -}}
ipFamilyPolicy: PreferDualStack
{{- end -}}
{{- end -}}

{{/* Egress to DNS, at any address: the rule does not depend on where the cluster's DNS runs. */}}
{{- define "orderfleet.egress.dns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* Egress to a component of this release: dict "root" "component" "port". */}}
{{- define "orderfleet.egress.component" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "orderfleet.selector" . | nindent 10 }}
  ports:
    - port: {{ .port }}
{{- end -}}

{{/* Egress to Postgres and Temporal: the release's own, or external at any address. Takes the parent chart's root. */}}
{{- define "orderfleet.egress.postgres" -}}
{{- if .Values.postgres.enabled }}
{{- include "orderfleet.egress.component" (dict "root" . "component" "postgres" "port" 5432) }}
{{- else -}}
- ports:
    {{- $ports := list }}
    {{- range include "orderfleet.postgres.hosts" . | fromJsonArray }}
    {{- $ports = append $ports (splitList ":" . | last) }}
    {{- end }}
    {{- range uniq $ports }}
    - port: {{ . }}
    {{- end }}
{{- with .Values.postgres.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "orderfleet.egress.temporal" -}}
{{- if .Values.temporal.enabled }}
{{- include "orderfleet.egress.component" (dict "root" . "component" "temporal" "port" 7233) }}
{{- else -}}
- ports:
    - port: {{ .Values.temporal.address | splitList ":" | last | int }}
{{- end }}
{{- end -}}

{{/* Egress to gateways and collectors: takes a list of URLs. */}}
{{- define "orderfleet.egress.urls" -}}
{{- range . }}
{{- if . }}
{{- $url := urlParse . }}
- ports:
    - port: {{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "http" | ternary "80" "443") | int }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Ingress to the metrics: takes any root. */}}
{{- define "orderfleet.ingress.metrics" -}}
- ports:
    - port: 9090
  from:
    {{- toYaml .Values.global.networkPolicy.metricsFrom | nindent 4 }}
{{- end -}}

{{/* Ingress from components of this release: dict "root" "components" "port", and "allowFrom" for more peers. */}}
{{- define "orderfleet.ingress.components" -}}
- ports:
    - port: {{ .port }}
  from:
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: orderfleet
          app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
        matchExpressions:
          - key: app.kubernetes.io/component
            operator: In
            values: [{{ join ", " .components }}]
    {{- with .allowFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* A component's NetworkPolicy: dict "root" "component" "ingress" and "egress" (lists of texts, each a list of rules). */}}
{{- define "orderfleet.networkPolicy" -}}
{{- if .root.Values.global.networkPolicy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "orderfleet.metadata" (pick . "root" "component") | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "orderfleet.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- if .ingress }}
  ingress:
    {{- range .ingress }}
    {{- with trim . }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
  {{- end }}
  egress:
    {{- include "orderfleet.egress.dns" . | nindent 4 }}
    {{- range .egress }}
    {{- with trim . }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}
{{- end -}}

{{/*
A service's NetworkPolicy: dict "root" "component" "values", "urls" (other destinations that the service
calls), "ingress" (rules besides the rule for scrapes).
*/}}
{{- define "orderfleet.serviceNetworkPolicy" -}}
{{- include "orderfleet.networkPolicy" (dict
  "root" .root
  "component" .component
  "ingress" (concat .ingress (list
    (include "orderfleet.ingress.metrics" .root)
    (.values.extraIngress | empty | ternary "" (toYaml .values.extraIngress))
  ))
  "egress" (list
    (include "orderfleet.egress.postgres" .root)
    (include "orderfleet.egress.temporal" .root)
    (include "orderfleet.egress.urls" (prepend .urls .root.Values.traces.endpoint))
    (.values.extraEgress | empty | ternary "" (toYaml .values.extraEgress))
  )
) }}
{{- end -}}
