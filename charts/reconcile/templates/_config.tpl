{{- /* Makes the whole numbers of a map whole again, in place. Helm reads every number of a values file as a float, and toToml
writes a float: `5242880` becomes `5.24288e+06`, which is none of TOML's integers. What is null is left out: TOML has no null. */}}
{{- define "reconcile.integers" -}}
{{- range $key, $value := . }}
{{- if kindIs "map" $value }}
{{- include "reconcile.integers" $value }}
{{- else if kindIs "slice" $value }}
{{- $items := list }}
{{- range $value }}
{{- $box := dict "item" . }}
{{- include "reconcile.integers" $box }}
{{- $items = append $items $box.item }}
{{- end }}
{{- $_ := set $ $key $items }}
{{- else if kindIs "invalid" $value }}
{{- $_ := unset $ $key }}
{{- else if and (kindIs "float64" $value) (eq (floor $value) $value) }}
{{- $_ := set $ $key (int64 $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The text of reconcile.toml. */}}
{{- define "reconcile.config" -}}
{{- if .Values.configText }}
{{- .Values.configText | trim }}
{{- else }}
{{- $config := deepCopy .Values.config }}
{{- if not .Values.webhook.enabled }}
{{- $config = omit $config "webhook" }}
{{- end }}
{{- include "reconcile.integers" $config }}
{{- toToml $config | trim }}
{{- end }}
{{- end }}

{{- /* What the daemon reads of the config only when it starts, beside the chart's variables. */}}
{{- define "reconcile.startOnly" -}}
{{- $config := .Values.config }}
{{- dict "log" $config.log "control_socket" $config.control_socket "body_limit" (dig "webhook" "body_limit" "" $config) | toJson }}
{{- end }}

{{- /* What the schema cannot say in words that help. */}}
{{- define "reconcile.validate" -}}
{{- if not .Values.configText }}
{{- range $table, $what := dict "repositories" "repository" "hosts" "host" }}
{{- if not (index $.Values.config $table) }}
{{- fail (printf "config.%s is empty: name at least one %s, as README.md of the chart shows" $table $what) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $text := merge (dict "configText" .Values.configText "config" (toJson .Values.config)) .Values.files }}
{{- if contains "PRIVATE KEY-----" $text }}
{{- fail (printf "%s holds a private key, and values are kept in the clear with every release: put the key into a Secret, and name that under `secrets`" $name) }}
{{- end }}
{{- end }}
{{- if hasKey .Values.files "reconcile.toml" }}
{{- fail "files.reconcile.toml: that file is made from `config`, or from `configText`" }}
{{- end }}
{{- if .Values.ingress.enabled }}
{{- $_ := required "ingress.host is empty: it is the host name of the webhook's URL in Gitea" .Values.ingress.host }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs is empty: name the gateway that the route belongs to" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.hostnames) }}
{{- fail "httpRoute.hostnames is empty: without one the route takes the path of every host of its gateway" }}
{{- end }}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not .Values.webhook.enabled) }}
{{- fail "webhook.enabled is false, so there is nothing that ingress or httpRoute could lead to" }}
{{- end }}
{{- end }}
