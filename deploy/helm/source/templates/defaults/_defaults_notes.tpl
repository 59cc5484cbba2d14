{{- define "portreeve.defaultsNotes" -}}
{{- if .Values.policyServer.enabled }}
PolicyServer "default" serves every policy that names no other.
{{ end }}
{{- if .Values.recommendedPolicies.enabled }}
These policies are deployed in mode {{ .Values.recommendedPolicies.defaultPolicyMode }}:
{{- $root := . }}
{{- range $key := list "allowPrivilegeEscalationPolicy" "hostNamespacePolicy" "podPrivilegedPolicy" "userGroupPolicy" "hostPathsPolicy" "capabilitiesPolicy" }}
{{- with get $root.Values.recommendedPolicies $key }}
  - {{ .name }}: registry://{{ include "portreeve.module" (dict "root" $root "module" .module "key" (printf "recommendedPolicies.%s.module" $key)) }}
{{- end }}
{{- end }}
{{ if ne .Values.recommendedPolicies.defaultPolicyMode "protect" }}
In mode monitor they reject nothing and only log what they would. To have them reject, set recommendedPolicies.defaultPolicyMode to
protect; there is no way back but to delete the policies.
{{ end }}
{{- end }}
{{- end -}}

{{- define "portreeve.defaultsWarnings" -}}
{{- if eq (include "portreeve.layout" .) "split" }}{{ include "portreeve.hostNetworkWarnings" . }}{{ end -}}
{{- if not .Values.policyServer.enabled }}
{{- if eq (include "portreeve.layout" .) "unified" }}
- policyServer.enabled is off: PolicyServer "default" is removed if this release made it, and policies bound to it are no longer enforced.
{{- end }}
{{- $others := dict -}}
{{- if .Capabilities.APIVersions.Has "policies.kubewarden.io/v1/PolicyServer" }}{{ $others = lookup "policies.kubewarden.io/v1" "PolicyServer" "" "default" }}{{ end -}}
{{- if and .Values.recommendedPolicies.enabled (not $others) }}
- The recommended policies need a PolicyServer "default", which nobody has made: they stay unscheduled until you make one.
{{- end }}
{{- end }}
{{- range $field, $key := dict "verificationConfig" "verification-config" "sigstoreTrustConfig" "sigstore-trust-config" }}
{{- include "portreeve.missing" (dict "root" $ "kind" "ConfigMap" "name" (get $.Values.policyServer $field) "value" (printf "policyServer.%s" $field) "entries" (list $key)) }}
{{- end }}
{{- include "portreeve.missing" (dict "root" . "kind" "Secret" "name" .Values.policyServer.imagePullSecret "value" "policyServer.imagePullSecret" "entries" (list ".dockerconfigjson")) }}
{{- end -}}
