{{- /* Written by deploy/helm/generate.ts: how this chart differs from the others that share its templates. */ -}}
{{- define "portreeve.layout" -}}unified{{- end -}}
{{- define "portreeve.originalName" -}}admission-controller{{- end -}}
