/**
 * The configuration of Prometheus and Alertmanager for the apps that Comio runs. The `.yml` files beside this one are
 * the same, rendered with `PRODUCTION`; the demo and the tests render theirs with shorter times.
 */

export interface PrometheusSettings {
  /** Of Comio, as Prometheus reaches it: http://comio:3000. */
  comioUrl: string;
  /** Has the bearer token (METRICS_TOKEN) that Comio wants of those who are not on its machine. */
  targetsTokenFile?: string | undefined;
  /** host:port of Alertmanager. */
  alertmanager: string;
  /** Paths or globs, absolute or beside the configuration. */
  ruleFiles: readonly string[];
  /** How often series are read and rules looked at. */
  interval: string;
  /** How often Comio is asked what is deployed. */
  targetsInterval: string;
}

export interface AlertmanagerSettings {
  /** The webhook: http://comio:3000/alerts/alertmanager. */
  webhookUrl: string;
  /** Has the bearer token that Comio wants with it. */
  tokenFile: string;
  /** How long alerts wait for others of their group. */
  groupWait: string;
  /** How long until changes of a group are sent. */
  groupInterval: string;
  /** How long until a group that has not changed is sent again. */
  repeatInterval: string;
}

export interface RuleSettings {
  /** Over which rates and quantiles are taken: at least four scrapes. */
  window: string;
  /** How long something must be so before it is an alert. */
  hold: string;
  /**
   * The same of not answering: longer than Prometheus scrapes an instance that was replaced. It takes targets over every
   * 5 s at the most (`updatert` in its discovery/manager.go), whatever their refresh interval.
   */
  downHold: string;
  /** Over which memory is seen to grow. */
  growthWindow: string;
  /** Cores a process may use; below what its container may, or that is never seen. */
  busyCores: number;
}

export const PRODUCTION: {
  prometheus: PrometheusSettings;
  alertmanager: AlertmanagerSettings;
  rules: RuleSettings;
} = {
  prometheus: {
    comioUrl: 'http://comio:3000',
    targetsTokenFile: '/run/secrets/comio-metrics-token',
    alertmanager: 'alertmanager:9093',
    ruleFiles: ['http-rules.yml', 'comio-*.yml'],
    interval: '15s',
    targetsInterval: '15s',
  },
  alertmanager: {
    webhookUrl: 'http://comio:3000/alerts/alertmanager',
    tokenFile: '/run/secrets/comio-alerts-token',
    groupWait: '15s',
    groupInterval: '1m',
    repeatInterval: '4h',
  },
  rules: { window: '2m', hold: '1m', downHold: '1m', growthWindow: '30m', busyCores: 0.8 },
};

/** prometheus.yml: https://prometheus.io/docs/prometheus/latest/configuration/configuration/ */
export function prometheusConfig(settings: PrometheusSettings): string {
  const { comioUrl, targetsTokenFile, alertmanager, ruleFiles, interval, targetsInterval } = settings;
  const comio = new URL(comioUrl);
  return `# Prometheus beside Comio: reads what Comio deployed, and Comio itself.
global:
  scrape_interval: ${interval}
  evaluation_interval: ${interval}
  scrape_timeout: ${interval}

rule_files:
${ruleFiles.map((file) => `  - ${quoted(file)}`).join('\n')}

alerting:
  alertmanagers:
    - static_configs:
        - targets: [${quoted(alertmanager)}]

scrape_configs:
  # Comio tells what is live, with the labels app, project, environment and commit. What runs on Docker can be reached
  # from the machine of Comio only: Prometheus belongs there.
  - job_name: apps
    http_sd_configs:
      - url: ${quoted(new URL('/deployments/targets', comioUrl).href)}
        refresh_interval: ${targetsInterval}${targetsTokenFile === undefined ? '' : authorization(targetsTokenFile, 8)}

  - job_name: comio
    scheme: ${comio.protocol.slice(0, -1)}
    static_configs:
      - targets: [${quoted(comio.host)}]
`;
}

/** alertmanager.yml: https://prometheus.io/docs/alerting/latest/configuration/ */
export function alertmanagerConfig(settings: AlertmanagerSettings): string {
  const { webhookUrl, tokenFile, groupWait, groupInterval, repeatInterval } = settings;
  return `# Alertmanager beside Comio: every alert becomes an incident in the project's thread.
route:
  receiver: comio
  # One delivery for each app and environment, so that what fails together arrives together.
  group_by: [app, environment]
  group_wait: ${groupWait}
  group_interval: ${groupInterval}
  repeat_interval: ${repeatInterval}

receivers:
  - name: comio
    webhook_configs:
      - url: ${quoted(webhookUrl)}
        # Comio wants to know when it is over, too.
        send_resolved: true
        http_config:${authorization(tokenFile, 10)}
`;
}

const BY = 'app, project, environment';
/** Of the series an alert is about, in what it tells Comio. */
const SELECTOR =
  '{app="{{ $labels.app }}", project="{{ $labels.project }}", environment="{{ $labels.environment }}"}';

/**
 * Rules for any app that counts `http_requests_total{status}` and times `http_request_duration_seconds`. What is
 * recorded is 0 where nothing fails (not absent), so that detectors know the healthy band. An alert's annotation
 * `query` is the series it is about: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
 */
export function httpRules({ window, hold, downHold, growthWindow, busyCores }: RuleSettings): string {
  return `# Rules for every app that Comio deploys and that has the usual HTTP metrics.
groups:
  - name: http
    rules:
      - record: app:http_requests:rate
        expr: sum by (${BY}) (rate(http_requests_total{app!=""}[${window}]))

      - record: app:http_errors:ratio
        expr: |
          (
            sum by (${BY}) (rate(http_requests_total{app!="", status=~"5.."}[${window}]))
            or
            0 * app:http_requests:rate
          ) / (app:http_requests:rate > 0)

      - record: app:http_request_duration_seconds:p95
        expr: |
          histogram_quantile(0.95,
            sum by (${BY}, le) (rate(http_request_duration_seconds_bucket{app!=""}[${window}]))
          )

      - record: app:process_resident_memory_bytes:max
        expr: max by (${BY}) (process_resident_memory_bytes{app!=""})

      - record: app:process_cpu_seconds:rate
        expr: max by (${BY}) (rate(process_cpu_seconds_total{app!=""}[${window}]))

      - alert: AppErrors
        expr: app:http_errors:ratio > 0.05
        for: ${hold}
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.app }} ({{ $labels.environment }}) fails {{ $value | humanizePercentage }} of its requests"
          description: "{{ $value | humanizePercentage }} of the requests are answered with a status of 500 or more; 5 % is the limit."
          query: 'app:http_errors:ratio${SELECTOR}'

      - alert: AppSlow
        expr: app:http_request_duration_seconds:p95 > 0.5
        for: ${hold}
        labels:
          severity: warning
        annotations:
          summary: "{{ $labels.app }} ({{ $labels.environment }}) takes {{ $value | humanizeDuration }} for one request in twenty"
          description: "The 95th percentile of the time to answer is {{ $value | humanizeDuration }}; half a second is the limit."
          query: 'app:http_request_duration_seconds:p95${SELECTOR}'

      - alert: AppDown
        # An app that never had metrics is not down.
        expr: |
          min by (${BY}) (up{app!=""}) == 0
          and max by (${BY}) (max_over_time(up{app!=""}[${growthWindow}])) == 1
        for: ${downHold}
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.app }} ({{ $labels.environment }}) does not answer"
          description: Its metrics cannot be read.
          query: 'min by (${BY}) (up${SELECTOR})'

      - alert: AppMemoryGrows
        # Grown by half and by 64 MiB within ${growthWindow}, and still growing: a process that just began grows less.
        expr: |
          max by (${BY}) (
            process_resident_memory_bytes{app!=""}
            - min_over_time(process_resident_memory_bytes{app!=""}[${growthWindow}]) > 67108864
            and deriv(process_resident_memory_bytes{app!=""}[${window}]) > 0
            and process_resident_memory_bytes{app!=""}
            > 1.5 * min_over_time(process_resident_memory_bytes{app!=""}[${growthWindow}])
          )
        for: ${hold}
        labels:
          severity: warning
        annotations:
          summary: "{{ $labels.app }} ({{ $labels.environment }}) took {{ $value | humanize1024 }}B more memory"
          description: "Its memory grew by {{ $value | humanize1024 }}B, more than half, within ${growthWindow}, and goes on growing."
          query: 'app:process_resident_memory_bytes:max${SELECTOR}'

      - alert: AppBusy
        expr: app:process_cpu_seconds:rate > ${busyCores}
        for: ${hold}
        labels:
          severity: warning
        annotations:
          summary: "{{ $labels.app }} ({{ $labels.environment }}) uses {{ $value | humanizePercentage }} of a core"
          description: "A process uses {{ $value | humanizePercentage }} of a core; ${busyCores * 100} % is the limit."
          query: 'app:process_cpu_seconds:rate${SELECTOR}'
`;
}

const authorization = (tokenFile: string, indent: number): string =>
  ['authorization:', '  type: Bearer', `  credentials_file: ${quoted(tokenFile)}`]
    .map((line) => `\n${' '.repeat(indent)}${line}`)
    .join('');

/** Every JSON string is a YAML one. */
const quoted = (text: string): string => JSON.stringify(text);
