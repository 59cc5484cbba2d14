{{- /* Written by deploy/helm/generate.ts: how this chart differs from the others that share its templates. */ -}}
{{- define "portreeve.layout" -}}split{{- end -}}
{{- define "portreeve.originalName" -}}kubewarden-defaults{{- end -}}
