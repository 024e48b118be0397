{{/*
Refuses changes of values that take effect only at the installation, or whose change would lose running
orders. Helm reads the running release from the cluster (`lookup`), so these checks refuse nothing where
charts are only rendered, nor at a rollback.
*/}}

{{- define "orderfleet.checks.running" -}}
{{- $name := include "orderfleet.fullname" . -}}
{{- $space := include "orderfleet.namespace" . -}}

{{- /* Where orders are, and where the services look for orders. */ -}}
{{- $config := (lookup "v1" "ConfigMap" $space (printf "%s-api" $name)).data | default dict -}}
{{- $server := include "orderfleet.envOf" (lookup "apps/v1" "Deployment" $space (printf "%s-temporal" $name)) | fromYaml -}}
{{- $wanted := dict -}}
{{- if .Values.temporal.enabled -}}
{{- range include "temporal.env" .Subcharts.temporal | fromYamlArray }}{{ $_ := set $wanted .name (.value | default "") }}{{ end -}}
{{- end -}}
{{- $places := list
  (list "orders.taskQueue" $config.ORDER_TASK_QUEUE .Values.orders.taskQueue)
  (list "orders.shippingTaskQueue" $config.SHIPPING_TASK_QUEUE .Values.orders.shippingTaskQueue)
  (list "temporal.namespace.name" $config.TEMPORAL_NAMESPACE .Values.temporal.namespace.name)
  (list "temporal.address" $config.TEMPORAL_ADDRESS (include "orderfleet.temporal.address" .))
  (list "postgres.host, port and database" (include "orderfleet.placeOf" $config.DATABASE_URL) (include "orderfleet.samePlace" (dict "root" . "old" (include "orderfleet.placeOf" $config.DATABASE_URL))))
  (list "temporal.postgres.host" $server.POSTGRES_SEEDS $wanted.POSTGRES_SEEDS)
  (list "temporal.postgres.port" $server.DB_PORT $wanted.DB_PORT)
  (list "temporal.postgres.database" $server.DBNAME $wanted.DBNAME)
  (list "temporal.postgres.visibilityDatabase" $server.VISIBILITY_DBNAME $wanted.VISIBILITY_DBNAME)
-}}
{{- range $places }}
{{- $old := index . 1 | default "" }}
{{- $new := index . 2 | default "" }}
{{- if and $old $new (ne $old $new) }}
{{- fail (printf "%s: the running release has %s, and orders under way would be lost with %s: install a second release with it, send new orders there and uninstall this one when its last order has ended; or uninstall this one first" (index . 0) $old $new) }}
{{- end }}
{{- end }}

{{- /* Values that a database or a volume was created with. */ -}}
{{- with $server.NUM_HISTORY_SHARDS }}
{{- if and $wanted.NUM_HISTORY_SHARDS (ne . $wanted.NUM_HISTORY_SHARDS) }}
{{- fail (printf "temporal.historyShards: Temporal's database was made with %s, which can never be changed: leave it so" .) }}
{{- end }}
{{- end }}
{{- if .Values.postgres.enabled }}
{{- $set := lookup "apps/v1" "StatefulSet" $space (printf "%s-postgres" $name) }}
{{- if $set }}
{{- include "orderfleet.checks.runningPostgres" (dict "set" $set "values" .Values.postgres) }}
{{- else }}
{{- range (lookup "apps/v1" "StatefulSet" $space "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- if and (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) (eq (get $labels "app.kubernetes.io/name") "orderfleet") }}
{{- fail (printf "global.fullnameOverride: the running release is called %s, and its Postgres would get a new volume as %s: set it to %[1]s" (trimSuffix "-postgres" .metadata.name) $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The same checks for Postgres: dict "set" (the StatefulSet) "values" (of postgres). */}}
{{- define "orderfleet.checks.runningPostgres" -}}
{{- $claim := index .set.spec.volumeClaimTemplates 0 -}}
{{- $size := .values.persistence.size -}}
{{- if ne (include "orderfleet.bytes" $claim.spec.resources.requests.storage) (include "orderfleet.bytes" $size) }}
{{- fail (printf "postgres.persistence.size: the running release has %s, which a StatefulSet does not let change. Where the StorageClass allows it, first: kubectl patch pvc data-%s-0 --patch '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}' && kubectl delete statefulset %[2]s --cascade=orphan" $claim.spec.resources.requests.storage .set.metadata.name $size) }}
{{- end }}
{{- $class := .values.persistence.storageClassName }}
{{- if and $class (ne $class ($claim.spec.storageClassName | default "")) }}
{{- fail (printf "postgres.persistence.storageClassName: the volume is of %s, which cannot be changed: dump, uninstall, delete the claim data-%s-0, install, restore" ($claim.spec.storageClassName | default "the default") .set.metadata.name) }}
{{- end }}
{{- $env := include "orderfleet.envOf" .set | fromYaml }}
{{- if and $env.OWNER (ne $env.OWNER .values.ownerUser) }}
{{- fail (printf "postgres.ownerUser: the database and its tables belong to %s: leave it so" $env.OWNER) }}
{{- end }}
{{- $old := index .set.spec.template.spec.containers 0 "image" | regexFind ":[0-9]+[^:/]*$" | trimPrefix ":" | regexFind "^[0-9]+" }}
{{- $new := .values.image.tag | toString | regexFind "^[0-9]+" }}
{{- if and $old $new (not .values.image.digest) (ne $old $new) }}
{{- fail (printf "postgres.image.tag: Postgres %s does not read the files of %s: dump, uninstall, delete the claim data-%s-0, install, restore" $new $old .set.metadata.name) }}
{{- end }}
{{- end -}}

{{/* Environment variables of the containers of a Deployment or a StatefulSet; empty if the object does not exist. */}}
{{- define "orderfleet.envOf" -}}
{{- $found := dict -}}
{{- if . -}}
{{- range .spec.template.spec.containers }}{{ range .env }}{{ $_ := set $found .name (.value | default "") }}{{ end }}{{ end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/*
Where Postgres will be: the old place if a host of it stays, as hosts of one Postgres come and go: dict "root" "old".
*/}}
{{- define "orderfleet.samePlace" -}}
{{- $new := include "orderfleet.postgres.url" (dict "root" .root "user" "") | include "orderfleet.placeOf" -}}
{{- $parts := splitn "/" 2 .old -}}
{{- $stays := false -}}
{{- range $host := include "orderfleet.postgres.hosts" .root | fromJsonArray -}}
{{- if has $host (splitList "," $parts._0) }}{{ $stays = true }}{{ end -}}
{{- end -}}
{{- and $stays (hasSuffix (printf "/%s" $parts._1) $new) | ternary .old $new -}}
{{- end -}}

{{/* host:port/database of a URL. */}}
{{- define "orderfleet.placeOf" -}}
{{- regexReplaceAll "^[^@]*@([^?]*).*$" (. | default "") "${1}" -}}
{{- end -}}
