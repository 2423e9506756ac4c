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
{{- $secret := .Values.config | dig "webhook" "secret_files" list }}
{{- $secret = append $secret (.Values.config | dig "store" "secret_key_file" "") }}
{{- range .Values.config.repositories }}
{{- $secret = concat $secret (list (get . "ssh_key_file") (get . "token_file")) }}
{{- end }}
{{- $given := list }}
{{- range .Values.secrets }}
{{- range .items }}
{{- $given = append $given .path }}
{{- end }}
{{- end }}
{{- range $name, $_ := .Values.files }}
{{- if has $name $given }}
{{- fail (printf "files.%s: an item of `secrets` has that path too, and only one of them can be there" $name) }}
{{- end }}
{{- if has (printf "/etc/reconcile/%s" $name) $secret }}
{{- fail (printf "files.%s is a secret by what config says of it, and values are kept in the clear with every release: put it into a Secret, and name that under `secrets`" $name) }}
{{- end }}
{{- end }}
{{- /* What other volumes bring is not known here. */}}
{{- if not (or .Values.configText .Values.extraVolumeMounts) }}
{{- range regexFindAll "/etc/reconcile/[^\"\\\\]+" (toJson .Values.config) -1 }}
{{- $name := trimPrefix "/etc/reconcile/" . }}
{{- if not (or (has $name $given) (hasKey $.Values.files $name)) }}
{{- fail (printf "config names %s, and nothing brings it: give it under `files`, or, if it is a secret, name the item of a Secret with path: %s under `secrets`" . $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) }}
{{- fail "networkPolicy.metricsFrom is empty: the policy keeps Prometheus from the metrics that serviceMonitor tells it of" }}
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
