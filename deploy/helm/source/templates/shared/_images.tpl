{{/* Registry, repository and tag of an image. Takes `root`, `image` (a block of the values) and `key`, its path in them. */}}
{{- define "portreeve.image" -}}
{{- $tag := default .root.Chart.AppVersion .image.tag | toString -}}
{{- if eq (default "node" .image.runtime) "bun" -}}
{{- if contains "@" $tag -}}
{{- fail (printf "%s.tag: %s names one image by its digest, which %s.runtime can't choose among; give the digest of the Bun image and set runtime to node" .key $tag .key) -}}
{{- end -}}
{{- $tag = printf "%s-bun" $tag -}}
{{- end -}}
{{- include "portreeve.registry" .root -}}{{ .image.repository }}:{{ $tag }}
{{- end -}}

{{- define "portreeve.registry" -}}
{{- with .Values.global.cattle.systemDefaultRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- end -}}

{{/* The names in `imagePullSecrets`, whose entries are names or objects with one, by commas. */}}
{{- define "portreeve.pullSecretNames" -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets -}}
{{- $names = append $names (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . (dict)) "name")) -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{- define "portreeve.imagePullSecrets" -}}
{{- with include "portreeve.pullSecretNames" . }}
imagePullSecrets:
  {{- range splitList "," . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
