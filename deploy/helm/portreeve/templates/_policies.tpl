{{- /* Written by deploy/helm/generate.ts from deploy/helm/source/templates/shared/_policies.tpl. */ -}}
{{/* The recommended policies, by their key in `recommendedPolicies`: what they mutate, and what they look at. */}}
{{- define "portreeve.policyRules" -}}
allowPrivilegeEscalationPolicy:
  mutating: true
  rules: |
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["pods"]
      operations: ["CREATE"]
hostNamespacePolicy:
  mutating: false
  rules: |
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["pods"]
      operations: ["CREATE", "UPDATE"]
podPrivilegedPolicy:
  mutating: false
  rules: |
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["pods"]
      operations: ["CREATE"]
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["replicationcontrollers"]
      operations: ["CREATE", "UPDATE"]
    - apiGroups: ["apps"]
      apiVersions: ["v1"]
      resources: ["deployments", "replicasets", "statefulsets", "daemonsets"]
      operations: ["CREATE", "UPDATE"]
    - apiGroups: ["batch"]
      apiVersions: ["v1"]
      resources: ["jobs", "cronjobs"]
      operations: ["CREATE", "UPDATE"]
userGroupPolicy:
  mutating: true
  rules: |
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["pods"]
      operations: ["CREATE"]
hostPathsPolicy:
  mutating: false
  rules: |
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["pods"]
      operations: ["CREATE", "UPDATE"]
capabilitiesPolicy:
  mutating: true
  rules: |
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["pods"]
      operations: ["CREATE", "UPDATE"]
{{- end -}}

{{/* Registry, repository and tag of a policy's module. Takes `root`, `module`, `key`, its path in the values. */}}
{{- define "portreeve.module" -}}
{{- $registry := default .root.Values.global.cattle.systemDefaultRegistry .root.Values.recommendedPolicies.defaultPoliciesRegistry -}}
{{- if $registry -}}
{{- trimSuffix "/" $registry }}/
{{- else if not (regexMatch "^(localhost|[^/]*[.:][^/]*)/" .module.repository) -}}
{{- fail (printf "%s.repository: %q names no registry, and policies have no default one: set recommendedPolicies.defaultPoliciesRegistry" .key .module.repository) -}}
{{- end -}}
{{- .module.repository }}:{{ .module.tag }}
{{- end -}}

{{/* A recommended policy as a whole. Takes `root` and `key`. */}}
{{- define "portreeve.policy" -}}
{{- $root := .root -}}
{{- $policy := get .root.Values.recommendedPolicies .key -}}
{{- $static := get (fromYaml (include "portreeve.policyRules" .)) .key -}}
{{- $unified := eq (include "portreeve.layout" .root) "unified" -}}
{{- $mode := .root.Values.recommendedPolicies.defaultPolicyMode -}}
{{- $live := dict -}}
{{- if $root.Capabilities.APIVersions.Has "policies.kubewarden.io/v1/ClusterAdmissionPolicy" -}}
{{- $live = lookup "policies.kubewarden.io/v1" "ClusterAdmissionPolicy" "" $policy.name -}}
{{- end -}}
{{- if and $live (ne $mode "protect") (eq (dig "spec" "mode" "" $live) "protect") -}}
{{- fail (printf "recommendedPolicies.defaultPolicyMode: ClusterAdmissionPolicy %q is in mode protect and can't go back to %s. Delete it first (kubectl delete clusteradmissionpolicy %s), then upgrade again." $policy.name $mode $policy.name) -}}
{{- end -}}
apiVersion: {{ $root.Values.crdVersion }}
kind: ClusterAdmissionPolicy
metadata:
  name: {{ $policy.name }}
  labels:
    {{- include "portreeve.labels" (dict "root" $root "component" "policy" "managedBy" (ternary "kubewarden-controller" $root.Release.Service $unified)) | nindent 4 }}
  annotations:
    io.kubewarden.policy.severity: medium
    io.kubewarden.policy.category: PSP
    {{- range $key, $value := omit (default (dict) $root.Values.additionalAnnotations) "io.kubewarden.policy.severity" "io.kubewarden.policy.category" }}
    {{- toYaml (dict $key (toString $value)) | nindent 4 }}
    {{- end }}
spec:
  mode: {{ $mode }}
  failurePolicy: {{ ternary "Fail" "Ignore" (eq $mode "protect") }}
  module: {{ include "portreeve.module" (dict "root" $root "module" $policy.module "key" (printf "recommendedPolicies.%s.module" .key)) }}
  mutating: {{ $static.mutating }}
  {{- if $unified }}
  backgroundAudit: true
  {{- end }}
  rules:
    {{- $static.rules | trim | nindent 4 }}
  {{- $skipped := concat (default (list) $root.Values.global.skipNamespaces) (default (list) $root.Values.recommendedPolicies.skipAdditionalNamespaces) }}
  {{- with $skipped }}
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values:
          {{- toYaml . | nindent 10 }}
  {{- end }}
  {{- $settings := default (dict) $policy.settings }}
  {{- if and (eq .key "allowPrivilegeEscalationPolicy") (hasKey $settings "allowPrivilegeEscalation") }}
  {{- /* The policy knows the setting by this name only; by the other it did nothing. */}}
  {{- $settings = merge (dict) (omit $settings "allowPrivilegeEscalation") (dict "default_allow_privilege_escalation" $settings.allowPrivilegeEscalation) }}
  {{- end }}
  settings:
    {{- toYaml $settings | nindent 4 }}
{{- end -}}

{{/* "true" if a recommended policy is to be deployed. Takes `root` and `key`. */}}
{{- define "portreeve.hasPolicy" -}}
{{- if and .root.Values.recommendedPolicies.enabled (get .root.Values.recommendedPolicies .key) }}true{{ end -}}
{{- end -}}
