{{- define "portreeve.crdsNotes" -}}
These CustomResourceDefinitions are installed:
  - policyservers, clusteradmissionpolicies, admissionpolicies, clusteradmissionpolicygroups and admissionpolicygroups of
    policies.kubewarden.io
{{- if .Values.installOpenReportsCRDs }}
  - reports and clusterreports of openreports.io
{{- end }}
{{- if .Values.installPolicyReportCRDs }}
  - policyreports and clusterpolicyreports of wgpolicyk8s.io

WARNING: the reports of wgpolicyk8s.io are deprecated. Use those of openreports.io: auditScanner.reportCRDsKind=openreports.
{{- end }}
{{ end -}}
