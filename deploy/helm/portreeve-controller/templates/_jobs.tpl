{{- /* Written by deploy/helm/generate.ts from deploy/helm/source/templates/shared/_jobs.tpl. */ -}}
{{/* Where the pods of Jobs may run: as the controller's, but without anti-affinity, which on a full cluster leaves no node. */}}
{{- define "portreeve.jobPlacement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with omit (default .Values.global.affinity .Values.affinity) "podAntiAffinity" }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.global.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/*
The Job of a hook. Takes `root`, `name`, `container`, `hook`, `resources`, `kubectl` (its arguments) and `args` (those of the
controller). The controller's own image does it, unless `preDeleteJob.image` names one with kubectl, as in Kubewarden 1.36.
*/}}
{{- define "portreeve.hookJob" -}}
{{- $root := .root -}}
{{- $kubectl := and .kubectl (or $root.Values.preDeleteJob.image.repository $root.Values.preDeleteJob.image.tag) -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- if eq (include "portreeve.layout" $root) "unified" }}
    {{- include "portreeve.labels" (dict "root" $root) | nindent 4 }}
    {{- else }}
    app.kubernetes.io/managed-by: {{ $root.Release.Service }}
    app.kubernetes.io/instance: {{ $root.Release.Name }}
    helm.sh/chart: {{ include "portreeve.chart" $root }}
    {{- end }}
  {{- $own := dict "helm.sh/hook" .hook "helm.sh/hook-weight" "1" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" -}}
  {{- with include "portreeve.annotationsBlock" (dict "root" $root "own" $own) | trim }}{{ . | nindent 2 }}{{ end }}
spec:
  template:
    metadata:
      name: {{ .name }}
      labels:
        {{- include "portreeve.podLabels" (dict "root" $root) | nindent 8 }}
    spec:
      serviceAccountName: {{ include "portreeve.fullname" $root }}
      restartPolicy: OnFailure
      {{- with include "portreeve.imagePullSecrets" $root | trim }}{{ . | nindent 6 }}{{ end }}
      {{- with $root.Values.preDeleteHook.podSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .container }}
          {{- if $kubectl }}
          image: {{ printf "%s%s:%s" (include "portreeve.registry" $root) (default "rancher/kuberlr-kubectl" $root.Values.preDeleteJob.image.repository) (default "v8.0.0" $root.Values.preDeleteJob.image.tag | toString) | quote }}
          command:
            - kubectl
          args:
            {{- toYaml .kubectl | nindent 12 }}
          env:
            - name: KUBERLR_ALLOWDOWNLOAD
              value: "1"
          {{- else }}
          image: {{ include "portreeve.image" (dict "root" $root "image" $root.Values.image "key" "image") | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command:
            - /controller
          args:
            {{- toYaml .args | nindent 12 }}
          {{- end }}
          {{- with $root.Values.preDeleteHook.containerSecurityContext }}
          securityContext:
            {{- toYaml . | nindent 12 }}
            {{- if $kubectl }}
            runAsUser: 1000
            runAsGroup: 1000
            {{- end }}
          {{- end }}
          {{- with .resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
      {{- with include "portreeve.jobPlacement" $root | trim }}{{ . | nindent 6 }}{{ end }}
{{- end -}}
