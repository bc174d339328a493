{{- define "mockbase.labels" -}}
app: {{ .Chart.Name }}
chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
release: {{ .Release.Name }}
heritage: {{ .Release.Service }}
{{- end -}}
