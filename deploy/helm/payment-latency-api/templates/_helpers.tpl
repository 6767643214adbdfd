{{/* Names, labels, the pod's shared parts, and the checks that a JSON schema cannot express. */}}

{{- define "payment.name" -}}payment-latency-api{{- end }}

{{- define "payment.fullname" -}}
{{- if contains "payment-latency-api" .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-payment-latency-api" (.Release.Name | trunc 25 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{/* What a selector may name: nothing that changes with a version. Call with (list $ "component"). */}}
{{- define "payment.selector" -}}
app.kubernetes.io/name: {{ include "payment.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "payment.labels" -}}
{{- $root := index . 0 -}}
{{ include "payment.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: payments
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
payment-latency-api/country: {{ $root.Values.country }}
data-residency: {{ get (dict "dev" "none" "spain" "eu" "mexico" "mx") $root.Values.country }}
{{- end }}

{{/* The facts of the chosen region, as JSON. */}}
{{- define "payment.facts" -}}
{{- if not (hasKey .Values.regions .Values.region) -}}
{{- fail (printf "region: %s has no entry in regions" .Values.region) -}}
{{- end -}}
{{- index .Values.regions .Values.region | toJson -}}
{{- end }}

{{- define "payment.image" -}}
{{- $facts := include "payment.facts" . | fromJson -}}
{{- if .Values.image.digest -}}
{{ $facts.imageRepository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $facts.imageRepository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "payment.secret.app" -}}{{ .Values.secrets.app | default (printf "%s-app" (include "payment.fullname" .)) }}{{- end }}
{{- define "payment.secret.migrate" -}}{{ .Values.secrets.migrate | default (printf "%s-migrate" (include "payment.fullname" .)) }}{{- end }}
{{- define "payment.secret.ops" -}}{{ .Values.secrets.ops | default (printf "%s-ops" (include "payment.fullname" .)) }}{{- end }}

{{/* Where the files of a pod are. */}}
{{- define "payment.secretDirectory" -}}/run/secrets/payment-latency-api{{- end }}
{{- define "payment.rootCertificates" -}}
{{- if .Values.database.caBundle.configMap -}}
/etc/payment-latency-api/database-ca/{{ .Values.database.caBundle.key }}
{{- else -}}
/etc/ssl/certs/ca-certificates.crt
{{- end -}}
{{- end }}

{{/* The template External Secrets fills in. libpq reads %20, not +, as a space. */}}
{{- define "payment.databaseUrl" -}}
{{- $facts := include "payment.facts" . | fromJson -}}
postgresql://{{ `{{ .username | urlquery | replace "+" "%20" }}:{{ .password | urlquery | replace "+" "%20" }}` }}@{{ $facts.databaseHost }}:{{ .Values.database.port }}/{{ .Values.database.name }}?sslmode=verify-full&sslrootcert={{ include "payment.rootCertificates" . }}
{{- end }}

{{- define "payment.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "payment.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Secrets are files, never environment variables. The directory is mounted whole (no subPath), so that the
     kubelet replaces its files when the Secret changes. */}}
{{- define "payment.secretEnv" -}}
- name: DATABASE_URL_FILE
  value: {{ include "payment.secretDirectory" . }}/database_url
- name: API_SECRET_KEY_FILE
  value: {{ include "payment.secretDirectory" . }}/api_secret_key
- name: API_SECRET_KEY_PREVIOUS_FILE
  value: {{ include "payment.secretDirectory" . }}/api_secret_key_previous
{{- end }}

{{- define "payment.mounts" -}}
- name: secrets
  mountPath: {{ include "payment.secretDirectory" . }}
  readOnly: true
{{- if .Values.database.caBundle.configMap }}
- name: database-ca
  mountPath: /etc/payment-latency-api/database-ca
  readOnly: true
{{- end }}
{{- end }}

{{/* Call with (list $ secretName). */}}
{{- define "payment.volumes" -}}
{{- $root := index . 0 -}}
- name: secrets
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
{{- with $root.Values.database.caBundle.configMap }}
- name: database-ca
  configMap:
    name: {{ . }}
    defaultMode: 0444
{{- end }}
{{- end }}

{{- define "payment.podCommon" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- if not .Values.hostUsers }}
hostUsers: false
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- include "payment.podSecurity" . | nindent 2 }}
{{- end }}

{{/* Refuses what no schema can see: sums across values, and a fact of one region in the release of another. */}}
{{- define "payment.check" -}}
{{- $v := .Values -}}
{{- $facts := include "payment.facts" . | fromJson -}}
{{- range $name := list "certificateArn" "wafAclArn" -}}
{{- with index $facts $name -}}
{{- if ne (index (splitList ":" .) 3) $v.region -}}
{{- fail (printf "residency: regions.%s.%s is of another region: %s" $v.region $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (hasSuffix ".rds.amazonaws.com" $facts.databaseHost) (not (contains (printf ".%s.rds." $v.region) $facts.databaseHost)) -}}
{{- fail (printf "residency: regions.%s.databaseHost is of another region: %s" $v.region $facts.databaseHost) -}}
{{- end -}}
{{- if and (contains ".dkr.ecr." $facts.imageRepository) (not (contains (printf ".dkr.ecr.%s." $v.region) $facts.imageRepository)) -}}
{{- fail (printf "residency: regions.%s.imageRepository is of another region: %s" $v.region $facts.imageRepository) -}}
{{- end -}}
{{- if eq (int $v.port) (int $v.opsPort) -}}
{{- fail "opsPort must not be port: callers reach that one" -}}
{{- end -}}
{{- $drain := add (div (int $v.settings.DRAIN_DELAY_MS) 1000) (div (int $v.settings.DRAIN_TIMEOUT_MS) 1000) 2 -}}
{{- if le (int $v.termination.gracePeriodSeconds) (int (add $v.termination.preStopSeconds $drain)) -}}
{{- fail (printf "termination.gracePeriodSeconds must be more than preStop + drain + 2 = %d s" (add $v.termination.preStopSeconds $drain)) -}}
{{- end -}}
{{- $pods := add (ternary $v.autoscaling.maxReplicas $v.replicas $v.autoscaling.enabled) $v.rollout.maxSurge 1 -}}
{{- $sessions := add (int $v.settings.POOL_SIZE) 1 -}}
{{- if gt (int (mul $pods $sessions)) (int $v.database.connectionLimit) -}}
{{- fail (printf "database.connectionLimit: %d pods x %d connections (POOL_SIZE and the probe's) do not fit into %d" $pods $sessions (int $v.database.connectionLimit)) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if le (int $v.settings.HTTP_IDLE_TIMEOUT_MS) (int (mul $v.ingress.idleTimeoutSeconds 1000)) -}}
{{- fail "settings.HTTP_IDLE_TIMEOUT_MS must be longer than ingress.idleTimeoutSeconds: the load balancer must be the one who closes" -}}
{{- end -}}
{{- end }}

{{/* Call with (list $ "anchor"). */}}
{{- define "payment.runbook" -}}
{{- with (index . 0).Values.prometheusRule.runbookUrl -}}
runbook_url: {{ . }}#{{ index $ 1 }}
{{- end -}}
{{- end }}
