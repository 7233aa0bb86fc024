{{- /* Name of everything of this release. */ -}}
{{- define "tidelog.name" -}}
{{- if contains "tidelog" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-tidelog" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "tidelog.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "tidelog.name" .) }}{{ else }}{{ required "serviceAccount.name: name the account that exists already, or set serviceAccount.create=true" .Values.serviceAccount.name }}{{ end -}}
{{- end -}}

{{- define "tidelog.selector" -}}
app.kubernetes.io/name: tidelog-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidelog.labels" -}}
{{ include "tidelog.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* image: {repository, tag} */ -}}
{{- define "tidelog.image" -}}
{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}
{{- end -}}

{{- /* What the operator may do in the namespaces of logs. */ -}}
{{- define "tidelog.rules" -}}
# The resources, and what it says about them.
- apiGroups: [tidelog.dev]
  resources: [eventlogs, replicationlinks]
  verbs: [get, list, watch]
- apiGroups: [tidelog.dev]
  resources: [eventlogs/status, replicationlinks/status]
  verbs: [patch]
# Where OwnerReferencesPermissionEnforcement is on, to own what it makes.
- apiGroups: [tidelog.dev]
  resources: [eventlogs/finalizers]
  verbs: [update]
# What runs for a location. ConfigMaps are replaced with the version that was read: they hold the witness.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, update, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# By name: it can neither list nor watch them.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Whether a database has a volume from before: it knows another password.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Whether another operator that attends to a log of this cluster is still there.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get]
{{- if .Values.rbac.certManager }}
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Values.gateway.name }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [tlsroutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}
