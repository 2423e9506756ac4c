{{- define "reconcile.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* The release's name, with the chart's where that says more. 40 characters: suffixes follow, and 63 are the limit. */}}
{{- define "reconcile.fullname" -}}
{{- $name := include "reconcile.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* What finds our pod. It never changes: a StatefulSet's selector and claims cannot. */}}
{{- define "reconcile.selectorLabels" -}}
app.kubernetes.io/name: {{ include "reconcile.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "reconcile.labels" -}}
{{ include "reconcile.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "reconcile.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "reconcile.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "reconcile.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* What the chart has to agree on with the daemon. A variable wins over the same key in the file, so that neither `config`
nor `configText` can take the state off its volume, or the receiver off its Service. */}}
{{- define "reconcile.env" -}}
- name: RECONCILE_CONFIG
  value: /etc/reconcile/reconcile.toml
- name: RECONCILE_STATE_DIRECTORY
  value: /var/lib/reconcile
- name: RECONCILE_OPERATOR_LISTEN
  value: {{ printf "%s:9090" .Values.listenAddress | quote }}
{{- if .Values.webhook.enabled }}
- name: RECONCILE_WEBHOOK_LISTEN
  value: {{ printf "%s:9080" .Values.listenAddress | quote }}
- name: RECONCILE_WEBHOOK_PATH
  value: {{ .Values.webhook.path | quote }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* What the config and its files are read from, by the daemon and by what checks them before: both see the same. */}}
{{- define "reconcile.mounts" -}}
# The whole folder, never a subPath: a file mounted by subPath does not change while the pod lives.
- name: config
  mountPath: /etc/reconcile
  readOnly: true
- name: state
  mountPath: /var/lib/reconcile
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
