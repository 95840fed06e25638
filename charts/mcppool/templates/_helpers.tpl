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

{{/* The metadata that every object has beside its name: labels, and annotations where there are any. */}}
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

{{/* What the operator may do, in every namespace that it watches. Each verb is one that it uses: a test holds it to that. */}}
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
# The children of pools (a test holds this to the operator's table of them). Server-side apply that creates needs `create`
# and `patch`; `delete` where a pool can do without one.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# How much each server pod of the operator's has to do (an annotation; the admission policy allows no other change).
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
# A Secret with sealing keys is made for each pool. None is ever read.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
# Where the servers and the gateways are, and what becomes of the gateways.
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

{{/* Where the policy for pools holds: in the namespaces whose pools are reconciled. */}}
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
