{{- /* Written by deploy/helm/generate.ts from deploy/helm/source/templates/controller/_controller_notes.tpl. */ -}}
{{- define "portreeve.controllerNotes" -}}
You can now define policies: ClusterAdmissionPolicy, AdmissionPolicy and groups of them.
{{ if .Values.hostNetwork }}
WARNING: hostNetwork is on. The controller and all policy servers bind their ports on their nodes:
{{ int .Values.ports.webhook }} (webhook), {{ int .Values.ports.healthProbe }} (health probe){{ if .Values.telemetry.metrics }}, {{ int .Values.ports.metrics }} (metrics){{ end }} for the controller, and for each PolicyServer its webhookPort (8443) and
readinessProbePort (8081). No anti-affinity is added: set `affinity`, and spec.affinity of the PolicyServers, or different ports.
{{ end }}
{{- end -}}

{{- define "portreeve.controllerWarnings" -}}
{{- include "portreeve.hostNetworkWarnings" . -}}
{{- $values := .Values -}}
{{- if and .Values.telemetry.tracing (eq .Values.telemetry.mode "sidecar") (not (dig "endpoint" "" (default (dict) .Values.telemetry.sidecar.tracing.jaeger))) }}
- telemetry.tracing is on, but telemetry.sidecar.tracing.jaeger.endpoint isn't set: traces go nowhere.
{{- end }}
{{- if and (eq (include "portreeve.layout" .) "unified") (not .Values.namespacedPoliciesAllowedResources) }}
- namespacedPoliciesAllowedResources is empty: every AdmissionPolicy and AdmissionPolicyGroup is rejected. (An upgrade with --reuse-values doesn't see its default; --reset-then-reuse-values does.)
{{- end }}
{{- if not (dig "create" true (default (dict) .Values.certificates)) }}
{{- $root := . }}
{{- range list "kubewarden-webhook-server-cert" "kubewarden-audit-scanner-client-cert" }}
{{- include "portreeve.missing" (dict "root" $root "kind" "Secret" "name" . "value" "certificates.create=false" "entries" (list "tls.crt" "tls.key")) }}
{{- end }}
{{- end }}
{{- if .Values.mTLS.enable }}
{{- include "portreeve.missing" (dict "root" . "kind" "ConfigMap" "name" .Values.mTLS.configMapName "value" "mTLS.configMapName" "entries" (list "client-ca.crt")) }}
{{- end }}
{{- if and (or .Values.telemetry.metrics .Values.telemetry.tracing) (ne .Values.telemetry.mode "sidecar") (not .Values.telemetry.custom.insecure) }}
{{- include "portreeve.missing" (dict "root" . "kind" "Secret" "name" .Values.telemetry.custom.otelCollectorCertificateSecret "value" "telemetry.custom.otelCollectorCertificateSecret" "entries" (list "ca.crt")) }}
{{- include "portreeve.missing" (dict "root" . "kind" "Secret" "name" .Values.telemetry.custom.otelCollectorClientCertificateSecret "value" "telemetry.custom.otelCollectorClientCertificateSecret" "entries" (list "tls.crt" "tls.key")) }}
{{- end }}
{{- $root := . }}
{{- with include "portreeve.pullSecretNames" . }}
{{- range splitList "," . }}
{{- include "portreeve.missing" (dict "root" $root "kind" "Secret" "name" . "value" "imagePullSecrets") }}
{{- end }}
{{- end }}
{{- if and (eq (include "portreeve.layout" .) "split") (include "portreeve.connected" .) (not (lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "policyservers.policies.kubewarden.io")) }}
- The cluster has no CustomResourceDefinitions of policies.kubewarden.io: the controller can't start until you install the chart portreeve-crds.
{{- end }}
{{- if and .Values.auditScanner.enable (ne .Values.auditScanner.serviceAccountName "audit-scanner") (include "portreeve.connected" .) (not (lookup "v1" "ServiceAccount" .Release.Namespace .Values.auditScanner.serviceAccountName)) }}
- auditScanner.serviceAccountName names ServiceAccount {{ .Values.auditScanner.serviceAccountName | quote }}, which namespace {{ .Release.Namespace | quote }} doesn't have: the audit scanner won't start until you create it, with its rights.
{{- end }}
{{- end -}}
