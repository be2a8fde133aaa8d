import { createRandom } from '#test/observability/detectors/random.ts';

/*
 * What a Prometheus that scrapes the demo shop would have stored, without the hour of waiting: counters, histograms
 * and gauges as the shop exposes them, of traffic by chance.
 */

export type Fault = 'latency' | 'errors' | 'leak' | 'cpu';

export interface ShopRun {
  app: string;
  seed: number;
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
  stepMs: number;
  /** A deployment: another process takes over, and everything counts from nothing. */
  restartAt?: number;
  /** Not scraped in [from, to). */
  gap?: { from: number; to: number };
  fault?: { kind: Fault; from: number; to: number };
}

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const MB = 2 ** 20;
const DAY_MS = 86_400_000;

const TYPES = {
  http_requests_total: 'counter',
  http_request_duration_seconds: 'histogram',
  process_resident_memory_bytes: 'gauge',
  process_cpu_seconds_total: 'counter',
  nodejs_eventloop_lag_seconds: 'gauge',
} as const;
type Family = keyof typeof TYPES;

/** https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md */
export function openMetricsOf(runs: readonly ShopRun[]): string {
  const lines = new Map<Family, string[]>(Object.keys(TYPES).map((family) => [family as Family, []]));
  for (const run of runs) scrapes(run, (family, line) => lines.get(family)?.push(line));
  const families = [...lines].flatMap(([family, all]) => {
    // A counter's family is named without its suffix.
    return [`# TYPE ${family.replace(/_total$/, '')} ${TYPES[family]}`, ...all];
  });
  return `${[...families, '# EOF'].join('\n')}\n`;
}

function scrapes(run: ShopRun, say: (family: Family, line: string) => void): void {
  const random = createRandom(run.seed);
  const seconds = run.stepMs / 1000;
  let instance = 1;
  let [good, failed, cpu, sum, wobble, leaked] = [0, 0, 0.6, 0, 0, 0];
  let counts = BUCKETS.map(() => 0);
  let heap = 70 * MB;

  for (let t = run.from; t <= run.to; t += run.stepMs) {
    const fault = run.fault && t >= run.fault.from && t < run.fault.to ? run.fault.kind : undefined;
    const fresh = run.restartAt !== undefined && t >= run.restartAt && t < run.restartAt + run.stepMs;
    if (fresh) {
      instance += 1;
      [good, failed, cpu, sum, leaked] = [0, 0, 1.8, 0, 0];
      counts = BUCKETS.map(() => 0);
      heap = 55 * MB;
    }
    // Busier by day; and people come in waves.
    wobble = 0.9 * wobble + 0.08 * random.normal();
    const day = 1 + 0.3 * Math.sin((2 * Math.PI * t) / DAY_MS);
    const requests = random.poisson(8 * day * Math.exp(wobble) * seconds);
    for (let i = 0; i < requests; i += 1) {
      let latency = 0.012 * Math.exp(0.5 * random.normal());
      if (random.uniform() < 0.01) latency *= 8;
      // The first requests of a process meet cold code.
      if (fresh && i < 20) latency *= 4;
      if (fault === 'latency') latency *= 3;
      if (fault === 'cpu') latency += random.uniform() * 0.05;
      const fails = random.uniform() < (fault === 'errors' ? 0.2 : 0.003);
      if (fails) failed += 1;
      else good += 1;
      sum += latency;
      for (const [k, bound] of BUCKETS.entries()) if (latency <= bound) counts[k] = (counts[k] ?? 0) + 1;
    }
    cpu +=
      0.015 * seconds +
      0.0015 * requests * (1 + 0.2 * random.normal()) +
      (fault === 'cpu' ? 0.5 * seconds : 0);
    // Grows until it is collected.
    heap += (0.4 + 0.3 * random.uniform()) * MB * (seconds / 15);
    if (heap > 90 * MB) heap = (68 + 4 * random.uniform()) * MB;
    if (fault === 'leak') leaked += MB * seconds;
    const lag =
      0.004 + 0.004 * random.uniform() + (random.uniform() < 0.08 ? 0.06 : 0) + (fault === 'cpu' ? 0.05 : 0);
    if (run.gap && t >= run.gap.from && t < run.gap.to) continue;

    const at = t / 1000;
    const own = `app="${run.app}",instance="${instance}"`;
    const route = `${own},method="POST",route="/orders"`;
    say('http_requests_total', `http_requests_total{${route},status="201"} ${good} ${at}`);
    if (failed > 0) say('http_requests_total', `http_requests_total{${route},status="500"} ${failed} ${at}`);
    const name = 'http_request_duration_seconds';
    const total = good + failed;
    for (const [k, bound] of BUCKETS.entries())
      say(name, `${name}_bucket{${route},le="${bound}"} ${counts[k]} ${at}`);
    say(name, `${name}_bucket{${route},le="+Inf"} ${total} ${at}`);
    say(name, `${name}_sum{${route}} ${sum} ${at}`);
    say(name, `${name}_count{${route}} ${total} ${at}`);
    say(
      'process_resident_memory_bytes',
      `process_resident_memory_bytes{${own}} ${Math.round(heap + leaked)} ${at}`,
    );
    say('process_cpu_seconds_total', `process_cpu_seconds_total{${own}} ${cpu} ${at}`);
    say('nodejs_eventloop_lag_seconds', `nodejs_eventloop_lag_seconds{${own}} ${lag} ${at}`);
  }
}
