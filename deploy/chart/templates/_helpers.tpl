{{- define "salvor.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "salvor.serviceAccount" -}}
{{- default (include "salvor.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "salvor.selector" -}}
app.kubernetes.io/name: salvor
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "salvor.labels" -}}
{{ include "salvor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
