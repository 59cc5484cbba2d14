{{- /* Written by deploy/helm/generate.ts from deploy/helm/source/templates/shared/_policy_server.tpl. */ -}}
{{/* PolicyServer `default`. */}}
{{- define "portreeve.policyServer" -}}
{{- $server := .Values.policyServer -}}
apiVersion: {{ .Values.crdVersion }}
kind: PolicyServer
metadata:
  name: default
  labels:
    {{- include "portreeve.labels" (dict "root" . "component" "policy-server" "managedBy" (ternary "kubewarden-controller" .Release.Service (eq (include "portreeve.layout" .) "unified"))) | nindent 4 }}
  {{- with .Values.additionalAnnotations }}
  annotations:
    {{- range $key, $value := . }}
    {{- toYaml (dict $key (toString $value)) | nindent 4 }}
    {{- end }}
  {{- end }}
  finalizers:
    - kubewarden.io/finalizer
spec:
  image: {{ include "portreeve.image" (dict "root" . "image" $server.image "key" "policyServer.image") }}
  serviceAccountName: {{ $server.serviceAccountName }}
  replicas: {{ default 1 $server.replicaCount }}
  {{- range $field := list "minAvailable" "maxUnavailable" }}
  {{- if not (has (toString (get $server $field)) (list "" "<nil>")) }}
  {{ $field }}: {{ get $server $field }}
  {{- end }}
  {{- end }}
  {{- with default .Values.global.affinity $server.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.global.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.global.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- range $field := list "limits" "requests" "securityContexts" }}
  {{- with get $server $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- range $field := list "verificationConfig" "sigstoreTrustConfig" "imagePullSecret" }}
  {{- with get $server $field }}
  {{ $field }}: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $server.annotations }}
  annotations:
    {{- range $key, $value := . }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  {{- end }}
  {{- with $server.env }}
  env:
    {{- range . }}
    - name: {{ .name | quote }}
      {{- if .valueFrom }}
      valueFrom:
        {{- toYaml .valueFrom | nindent 8 }}
      {{- else }}
      value: {{ default "" .value | toString | quote }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- with $server.insecureSources }}
  insecureSources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $authorities := dict }}
  {{- if kindIs "map" $server.sourceAuthorities }}
  {{- range $uri, $certs := $server.sourceAuthorities }}
  {{- if $certs }}{{ $_ := set $authorities $uri $certs }}{{ end }}
  {{- end }}
  {{- else }}
  {{- range default (list) $server.sourceAuthorities }}
  {{- if .certs }}{{ $_ := set $authorities .uri .certs }}{{ end }}
  {{- end }}
  {{- end }}
  {{- with $authorities }}
  sourceAuthorities:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if kindIs "slice" $server.namespacedPoliciesCapabilities }}
  {{- /* Absent means all of them, and an empty list none. */}}
  namespacedPoliciesCapabilities:
    {{- toYaml $server.namespacedPoliciesCapabilities | nindent 4 }}
  {{- end }}
  {{- range $field := list "webhookPort" "readinessProbePort" "metricsPort" }}
  {{- with get $server $field }}
  {{ $field }}: {{ int . }}
  {{- end }}
  {{- end }}
{{- end -}}
