{{- define "shop.name" -}}
{{- printf "%s-postgresql" (.Release.Name | trunc 40 | trimSuffix "-") -}}
{{- end -}}

{{- define "shop.hook" -}}
{{- printf "%s-pre-upgrade" (.Release.Name | trunc 40 | trimSuffix "-") -}}
{{- end -}}

{{- define "shop.labels" -}}
app.kubernetes.io/name: shop
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
