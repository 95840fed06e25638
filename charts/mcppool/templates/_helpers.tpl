{{- define "mcppool.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 50 characters, so that names made of it (`-metrics`, `-election`) are still DNS labels. */}}
{{- define "mcppool.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "mcppool.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "mcppool.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mcppool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "mcppool.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "mcppool.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: mcppool
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of every object besides its name: labels, and annotations if there are any. */}}
{{- define "mcppool.annotations" -}}
{{- with .Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mcppool.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "mcppool.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The image of a part, given as (list . .Values.image.operator). */}}
{{- define "mcppool.image" -}}
{{- $root := index . 0 }}{{- $image := index . 1 -}}
{{ with (default $root.Values.image.registry ($root.Values.global).imageRegistry) }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{/* The operator's rights in every namespace that it watches. It uses each verb; a test checks that. */}}
{{- define "mcppool.rules" -}}
- apiGroups: [mcppool.dev]
  resources: [mcpserverpools]
  verbs: [get, list, watch]
- apiGroups: [mcppool.dev]
  resources: [mcpserverpools/status]
  verbs: [patch]
# For owner references with blockOwnerDeletion, where an admission plug-in (OpenShift's) asks for it.
- apiGroups: [mcppool.dev]
  resources: [mcpserverpools/finalizers]
  verbs: [update]
# The children of pools (a test compares this with the operator's table). Server-side apply needs `create` and `patch`;
# `delete` is for kinds that a pool can do without.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# The amount of work of each managed server pod (an annotation; the admission policy allows no other change).
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# The gateways' Role grants what the operator holds itself (configmaps: get, list, watch): no `escalate`, no `bind`.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
# Creates Secrets with sealing keys, and never reads or deletes one: that of a rotation belongs to a ConfigMap.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
# The endpoints of servers, and the pods of gateways.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* The namespaces of the policy for pools: those whose pools are reconciled. */}}
{{- define "mcppool.policyScope" -}}
matchResources:
  {{- if .Values.watchNamespaces }}
  namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson .Values.watchNamespaces }}}
  {{- else }}
  namespaceSelector: {}
  {{- end }}
{{- end }}
