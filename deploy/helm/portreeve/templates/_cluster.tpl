{{- /* Written by deploy/helm/generate.ts from deploy/helm/source/templates/shared/_cluster.tpl. */ -}}
{{/* What the cluster holds, where Helm may look: `helm template` and dry runs on the client see an empty one. */}}

{{/* "true" when objects can be looked up. */}}
{{- define "portreeve.connected" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}true{{ end -}}
{{- end -}}

{{/* A warning when an object that the values name isn't there. Takes `root`, `kind`, `name`, `value`, optionally `entries`. */}}
{{- define "portreeve.missing" -}}
{{- if and .name (include "portreeve.connected" .root) -}}
{{- $found := lookup "v1" .kind .root.Release.Namespace .name -}}
{{- if not $found }}
- {{ .value }} names {{ .kind }} {{ .name | quote }}, which namespace {{ .root.Release.Namespace | quote }} doesn't have: pods that need it won't start until you create it{{ with .entries }} with {{ join ", " . }}{{ end }}.
{{- else -}}
{{- range .entries }}
{{- if not (hasKey (default (dict) $found.data) .) }}
- {{ $.value }} names {{ $.kind }} {{ $.name | quote }}, which has no key {{ . | quote }}: pods that need it won't start until you add it.
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Stops Helm when the release's namespace is being deleted: nothing can be made in it. */}}
{{- define "portreeve.checkNamespace" -}}
{{- if dig "metadata" "deletionTimestamp" "" (lookup "v1" "Namespace" "" .Release.Namespace) -}}
{{- fail (printf "namespace %q is being deleted, and nothing can be made in it. Wait until it is gone (kubectl wait --for=delete namespace/%s), or install into another one. If it doesn't go, its status says what holds it: kubectl get namespace %s --output yaml" .Release.Namespace .Release.Namespace .Release.Namespace) -}}
{{- end -}}
{{- end -}}
