{{- /* Written by deploy/helm/generate.ts from deploy/helm/source/templates/shared/_host_network.tpl. */ -}}
{{/*
On the network of its node a pod binds its ports on the node, and of two pods that want the same port there only one can run.
Required pod anti-affinity on the node's name keeps them apart.
*/}}

{{/* "true" if an affinity keeps its pod off nodes with pods of these labels. Takes `affinity`, `labels`. */}}
{{- define "portreeve.keepsOff" -}}
{{- $labels := .labels -}}
{{- $found := false -}}
{{- range dig "podAntiAffinity" "requiredDuringSchedulingIgnoredDuringExecution" (list) (default (dict) .affinity) -}}
{{- if and (eq (default "" .topologyKey) "kubernetes.io/hostname") .labelSelector -}}
{{- $selects := true -}}
{{- range $key, $value := default (dict) .labelSelector.matchLabels -}}
{{- if ne (toString (get $labels $key)) (toString $value) }}{{ $selects = false }}{{ end -}}
{{- end -}}
{{- range default (list) .labelSelector.matchExpressions -}}
{{- $has := hasKey $labels .key -}}
{{- $in := and $has (has (get $labels .key) (default (list) .values)) -}}
{{- if eq .operator "In" }}{{ if not $in }}{{ $selects = false }}{{ end }}
{{- else if eq .operator "NotIn" }}{{ if $in }}{{ $selects = false }}{{ end }}
{{- else if eq .operator "Exists" }}{{ if not $has }}{{ $selects = false }}{{ end }}
{{- else if eq .operator "DoesNotExist" }}{{ if $has }}{{ $selects = false }}{{ end }}
{{- else }}{{ $selects = false }}{{ end -}}
{{- end -}}
{{- if $selects }}{{ $found = true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $found }}true{{ end -}}
{{- end -}}

{{/* The labels of the pods of the PolicyServer of this name. */}}
{{- define "portreeve.policyServerLabels" -}}
app: kubewarden-policy-server-{{ . }}
app.kubernetes.io/component: policy-server
app.kubernetes.io/instance: policy-server-{{ . }}
app.kubernetes.io/managed-by: kubewarden-controller
app.kubernetes.io/part-of: kubewarden
kubewarden/policy-server: {{ . }}
{{- end -}}

{{/*
A controller on its node's network, as YAML: `ports` by the name of their value, where it may run, the labels of its pods; nothing
if it has a network of its own. From the values of this chart or, in the chart that has none of them, from the cluster.
*/}}
{{- define "portreeve.controllerOnNode" -}}
{{- if hasKey .Values "hostNetwork" -}}
{{- if .Values.hostNetwork -}}
ports:
  ports.webhook: {{ int .Values.ports.webhook }}
  ports.healthProbe: {{ int .Values.ports.healthProbe }}
  {{- if .Values.telemetry.metrics }}
  ports.metrics: {{ int .Values.ports.metrics }}
  {{- end }}
affinity: {{ toJson (default .Values.global.affinity .Values.affinity) }}
nodeSelector: {{ toJson .Values.nodeSelector }}
labels:
  app.kubernetes.io/name: {{ include "portreeve.name" . }}
  app.kubernetes.io/instance: {{ .Release.Name }}
  app.kubernetes.io/component: controller
  app.kubernetes.io/part-of: kubewarden
{{- end -}}
{{- else -}}
{{- range dig "items" (list) (lookup "apps/v1" "Deployment" .Release.Namespace "") -}}
{{- $pod := .spec.template -}}
{{- $args := default (list) (index $pod.spec.containers 0).args -}}
{{- if and (eq (dig "labels" "app.kubernetes.io/component" "" (default (dict) $pod.metadata)) "controller") (has "--host-network" $args) }}
ports:
  {{- range $args }}
  {{- if hasPrefix "--webhook-server-port=" . }}
  ports.webhook: {{ trimPrefix "--webhook-server-port=" . }}
  {{- else if hasPrefix "--health-probe-bind-address=:" . }}
  ports.healthProbe: {{ trimPrefix "--health-probe-bind-address=:" . }}
  {{- else if and (hasPrefix "--metrics-bind-address=" .) (contains ":" .) }}
  ports.metrics: {{ regexFind "[0-9]+$" . }}
  {{- end }}
  {{- end }}
affinity: {{ toJson (default (dict) $pod.spec.affinity) }}
nodeSelector: {{ toJson (default (dict) $pod.spec.nodeSelector) }}
labels: {{ toJson $pod.metadata.labels }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The PolicyServers that there are or will be, as YAML `servers`: name, spec, and how the fields of the spec are called. */}}
{{- define "portreeve.servers" -}}
{{- $live := dict -}}
{{- if .Capabilities.APIVersions.Has "policies.kubewarden.io/v1/PolicyServer" -}}
{{- $live = lookup "policies.kubewarden.io/v1" "PolicyServer" "" "" -}}
{{- end -}}
{{- $own := and (hasKey .Values "policyServer") (get (default (dict) .Values.policyServer) "enabled") -}}
servers:
{{- if $own }}
  - name: default
    where: policyServer.
    spec: {{ toJson (dict "webhookPort" .Values.policyServer.webhookPort "readinessProbePort" .Values.policyServer.readinessProbePort "replicas" (default 1 .Values.policyServer.replicaCount) "affinity" (default .Values.global.affinity .Values.policyServer.affinity)) }}
{{- end }}
{{- range dig "items" (list) $live }}
{{- if not (or .metadata.deletionTimestamp (and $own (eq .metadata.name "default"))) }}
  - name: {{ .metadata.name }}
    where: spec.
    spec: {{ toJson (pick .spec "webhookPort" "readinessProbePort" "replicas" "affinity") }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
What can't run together on one node, a line each: `fail …` for ports that somebody chose, where nothing says on which nodes the
pods go, since on one node that can't work; `warn …` for the rest, which works with enough nodes.
*/}}
{{- define "portreeve.hostNetworkProblems" -}}
{{- $controller := fromYaml (include "portreeve.controllerOnNode" .) -}}
{{- if $controller -}}
{{- $servers := default (list) (fromYaml (include "portreeve.servers" .)).servers -}}
{{- $presets := dict "ports.webhook" 9443 "ports.healthProbe" 8081 "ports.metrics" 8088 "webhookPort" 8443 "readinessProbePort" 8081 -}}
{{- $fields := list "webhookPort" "readinessProbePort" -}}
{{- range $index, $server := $servers -}}
{{- $labels := fromYaml (include "portreeve.policyServerLabels" $server.name) -}}
{{- $apart := or (include "portreeve.keepsOff" (dict "affinity" $controller.affinity "labels" $labels)) (include "portreeve.keepsOff" (dict "affinity" $server.spec.affinity "labels" $controller.labels)) -}}
{{- $placed := or $controller.affinity $controller.nodeSelector $server.spec.affinity -}}
{{- if not $apart -}}
{{- range $field := $fields -}}
{{- $port := int (default (get $presets $field) (get $server.spec $field)) -}}
{{- range $value, $own := $controller.ports -}}
{{- if eq (int $own) $port -}}
{{- $kind := "warn" -}}
{{- if and (or (get $server.spec $field) (ne $port (int (get $presets $value)))) (not $placed) }}{{ $kind = "fail" }}{{ end }}
{{ $kind }} {{ $value }} and {{ $server.where }}{{ $field }} of PolicyServer {{ $server.name | quote }} are both {{ $port }}: on the network of a node only one of the two pods can run. Give them different ports, or set a required podAntiAffinity on kubernetes.io/hostname in {{ $server.where }}affinity that selects app.kubernetes.io/component: controller.
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $other := slice $servers (int (add1 $index)) -}}
{{- $theirs := fromYaml (include "portreeve.policyServerLabels" $other.name) -}}
{{- if not (or (include "portreeve.keepsOff" (dict "affinity" $server.spec.affinity "labels" $theirs)) (include "portreeve.keepsOff" (dict "affinity" $other.spec.affinity "labels" $labels))) -}}
{{- range $field := $fields -}}
{{- range $field2 := $fields -}}
{{- $port := int (default (get $presets $field) (get $server.spec $field)) -}}
{{- if eq $port (int (default (get $presets $field2) (get $other.spec $field2))) }}
warn {{ $server.where }}{{ $field }} of PolicyServer {{ $server.name | quote }} and {{ $other.where }}{{ $field2 }} of PolicyServer {{ $other.name | quote }} are both {{ $port }}: on the network of a node only one of the two pods can run. Give them different ports, or keep them apart by a required podAntiAffinity on kubernetes.io/hostname.
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int (default 1 $server.spec.replicas)) 1) (not (include "portreeve.keepsOff" (dict "affinity" $server.spec.affinity "labels" $labels))) }}
warn The {{ $server.spec.replicas }} pods of PolicyServer {{ $server.name | quote }} bind the same ports: on the network of a node only one of them can run. Have a node for each, and set a required podAntiAffinity on kubernetes.io/hostname in {{ $server.where }}affinity that selects kubewarden/policy-server: {{ $server.name }}.
{{- end -}}
{{- end -}}
{{- if and (hasKey .Values "ports") (gt (int .Values.replicas) 1) (not (include "portreeve.keepsOff" (dict "affinity" $controller.affinity "labels" $controller.labels))) }}
warn The {{ .Values.replicas }} controllers bind the same ports: on the network of a node only one of them can run. Have a node for each, or the others stay Pending.
{{- end -}}
{{- if hasKey .Values "ports" -}}
{{- range $value, $port := $controller.ports -}}
{{- if lt (int $port) 1024 }}
warn {{ $value }} is {{ $port }}: most nodes let only root bind ports below 1024, which the controller isn't.
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Stops Helm at the first problem that can't work. */}}
{{- define "portreeve.checkHostNetwork" -}}
{{- range splitList "\n" (include "portreeve.hostNetworkProblems" .) -}}
{{- if hasPrefix "fail " . }}{{ fail (trimPrefix "fail " .) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "portreeve.hostNetworkWarnings" -}}
{{- range splitList "\n" (include "portreeve.hostNetworkProblems" .) -}}
{{- if hasPrefix "warn " . }}
- {{ trimPrefix "warn " . }}
{{- end -}}
{{- end -}}
{{- end -}}
