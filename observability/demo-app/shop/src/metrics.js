import { monitorEventLoopDelay } from 'node:perf_hooks';

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Metrics in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function createMetrics() {
  const metrics = [];
  const declare = (type, name, help, lines) => metrics.push({ type, name, help, lines });

  return {
    /** Counts what is added; with `read`, what that says when it is scraped. */
    counter(name, help, read) {
      const values = new Map();
      declare('counter', name, help, () =>
        read ? [`${name} ${read()}`] : [...values].map(([labels, value]) => `${name}${labels} ${value}`),
      );
      return {
        add(value, labels) {
          const key = braces(labels);
          values.set(key, (values.get(key) ?? 0) + value);
        },
      };
    },
    gauge(name, help, read) {
      declare('gauge', name, help, () => [`${name} ${read()}`]);
    },
    histogram(name, help) {
      const series = new Map();
      declare('histogram', name, help, () =>
        [...series.values()].flatMap((one) => histogramLines(name, one)),
      );
      return {
        observe(value, labels) {
          const key = braces(labels);
          const one = series.get(key) ?? { labels, counts: BUCKETS.map(() => 0), sum: 0, count: 0 };
          series.set(key, one);
          for (const [index, bound] of BUCKETS.entries()) if (value <= bound) one.counts[index] += 1;
          one.sum += value;
          one.count += 1;
        },
      };
    },
    text: () =>
      metrics
        .flatMap(({ type, name, help, lines }) => [
          `# HELP ${name} ${help}`,
          `# TYPE ${name} ${type}`,
          ...lines(),
        ])
        .join('\n')
        .concat('\n'),
  };
}

export function watchProcess(metrics) {
  metrics.gauge('process_resident_memory_bytes', 'Memory the process has.', () => process.memoryUsage.rss());
  metrics.counter('process_cpu_seconds_total', 'CPU time the process took.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  const resolution = 10;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  metrics.gauge(
    'nodejs_eventloop_lag_seconds',
    'Longest delay of the event loop since the last scrape.',
    () => {
      const seconds = Math.max(0, delay.max / 1e9 - resolution / 1000);
      delay.reset();
      return seconds;
    },
  );
}

const histogramLines = (name, { labels, counts, sum, count }) => [
  ...BUCKETS.map((le, index) => `${name}_bucket${braces({ ...labels, le })} ${counts[index]}`),
  `${name}_bucket${braces({ ...labels, le: '+Inf' })} ${count}`,
  `${name}_sum${braces(labels)} ${sum}`,
  `${name}_count${braces(labels)} ${count}`,
];

function braces(labels) {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return `{${pairs.join(',')}}`;
}

const escaped = (text) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
