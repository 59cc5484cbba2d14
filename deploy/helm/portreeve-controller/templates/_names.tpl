{{- /* Written by deploy/helm/generate.ts from deploy/helm/source/templates/shared/_names.tpl. */ -}}
{{/* Names and labels. `portreeve.layout` and `portreeve.originalName` are in _chart.tpl, which every chart has its own of. */}}

{{/* Names and selectors follow Kubewarden's chart of the same layout, so that a release of the same name gets the same objects. */}}
{{- define "portreeve.name" -}}
{{- default (include "portreeve.originalName" .) .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "portreeve.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default (include "portreeve.originalName" .) .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else if and (not .Values.nameOverride) (contains .Chart.Name .Release.Name) -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "portreeve.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A Service's name is a DNS label: 63 characters with its suffix. The certificate is made out to the same name. */}}
{{- define "portreeve.webhookService" -}}
{{- printf "%s-webhook-service" (include "portreeve.fullname" . | trunc 47 | trimSuffix "-") -}}
{{- end -}}

{{- define "portreeve.metricsService" -}}
{{- printf "%s-metrics-service" (include "portreeve.fullname" . | trunc 47 | trimSuffix "-") -}}
{{- end -}}

{{/* 11 characters of a CronJob's name are for those of its Jobs. */}}
{{- define "portreeve.auditScanner" -}}
{{- $name := default "audit-scanner" .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels of an object. Takes `root`, and optionally `component`, `managedBy`. */}}
{{- define "portreeve.labels" -}}
{{- $root := .root -}}
helm.sh/chart: {{ include "portreeve.chart" $root }}
app.kubernetes.io/name: {{ include "portreeve.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/part-of: kubewarden
app.kubernetes.io/managed-by: {{ default $root.Release.Service .managedBy }}
{{- $reserved := list "helm.sh/chart" "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/component" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" }}
{{- range $key, $value := $root.Values.additionalLabels }}
{{- if has $key $reserved }}
{{- fail (printf "additionalLabels.%s: the chart sets this label itself and finds its objects by it; use a key of your own" $key) }}
{{- end }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* `metadata.annotations`, with those of the caller first; nothing when there are none. Takes `root`, optionally `own` (map). */}}
{{- define "portreeve.annotationsBlock" -}}
{{- $all := merge (dict) (default (dict) .own) (default (dict) .root.Values.additionalAnnotations) -}}
{{- with $all }}
annotations:
  {{- range $key, $value := . }}
  {{ $key }}: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The labels by which the Deployment and the Services find the controller's pods. They can't be changed later. */}}
{{- define "portreeve.selector" -}}
{{- if eq (include "portreeve.layout" .) "unified" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- else -}}
app.kubernetes.io/name: {{ include "portreeve.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- end -}}

{{/*
The labels of pods that are not the controller's. In the split layout the controller's Services select by name and instance, so
these pods have no name. Takes `root`, and optionally `component`.
*/}}
{{- define "portreeve.podLabels" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/part-of: kubewarden
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- range $key, $value := .root.Values.additionalLabels }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}
