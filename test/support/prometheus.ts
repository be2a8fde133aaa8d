import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { alertmanagerConfig, httpRules, prometheusConfig } from '#observability/stack/stack.ts';
import { freePort } from './free-port.ts';
import { prometheusPrograms } from './prometheus-programs.ts';
import { createTempDir } from './temp-dir.ts';

export interface PrometheusStackOptions {
  /** Its `/deployments/targets` says what to scrape, its `/alerts/alertmanager` hears of alerts. */
  comioUrl: string;
  /** Goes with every webhook: `Authorization: Bearer …`. */
  token: string;
  /** Beside the rules for apps: paths of rule files. */
  ruleFiles?: readonly string[] | undefined;
  /** Over what rates are taken; 10 s. */
  window?: string | undefined;
  say?: ((line: string) => void) | undefined;
}

/** As of `GET /api/v2/alerts`. */
export interface ActiveAlert {
  fingerprint: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  startsAt: string;
  status: { state: 'unprocessed' | 'active' | 'suppressed' };
}

export interface QueriedSeries {
  metric: Record<string, string>;
  /** Seconds since the epoch, and the value as text. */
  values: [number, string][];
}

/** A Prometheus and an Alertmanager that read, decide and send every second. */
export interface PrometheusStack extends AsyncDisposable {
  prometheusUrl: string;
  alertmanagerUrl: string;
  /** What Alertmanager holds. */
  alerts(): Promise<ActiveAlert[]>;
  /** Of the targets: their labels, and whether the last scrape succeeded. */
  targets(): Promise<
    { labels: Record<string, string>; health: 'up' | 'down' | 'unknown'; lastError: string }[]
  >;
  /** By range query, a value each second. Throws with what Prometheus said. */
  range(query: string, from: Date, to: Date): Promise<QueriedSeries[]>;
  /** The newest value of each series. */
  instant(query: string): Promise<{ metric: Record<string, string>; value: number }[]>;
}

/** Of the shop under the demo's traffic about 0.05; on a machine that others use too, a busy loop gets no whole core. */
const BUSY_CORES = 0.2;

export async function startPrometheus(options: PrometheusStackOptions): Promise<PrometheusStack> {
  const { comioUrl, token, ruleFiles = [], window = '10s', say = () => undefined } = options;
  const programs = await prometheusPrograms(say);
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(await createTempDir());
  const place = (name: string) => join(directory, name);
  await Promise.all([mkdir(place('prometheus')), mkdir(place('alertmanager'))]);
  await Promise.all([
    writeFile(place('token'), token, { mode: 0o600 }),
    writeFile(
      place('http-rules.yml'),
      httpRules({ window, hold: '2s', downHold: '12s', growthWindow: '1m', busyCores: BUSY_CORES }),
    ),
  ]);
  await writeFile(
    place('alertmanager.yml'),
    alertmanagerConfig({
      webhookUrl: new URL('/alerts/alertmanager', comioUrl).href,
      tokenFile: place('token'),
      groupWait: '0s',
      groupInterval: '1s',
      repeatInterval: '1h',
    }),
  );

  const alertmanager = stack.use(
    await startDaemon(programs.alertmanager, (address) => [
      `--config.file=${place('alertmanager.yml')}`,
      `--storage.path=${place('alertmanager')}`,
      `--web.listen-address=${address}`,
      // One of its own: it looks for no peers.
      '--cluster.listen-address=',
    ]),
  );
  await writeFile(
    place('prometheus.yml'),
    prometheusConfig({
      comioUrl,
      alertmanager: alertmanager.address,
      ruleFiles: [place('http-rules.yml'), ...ruleFiles],
      interval: '1s',
      targetsInterval: '1s',
    }),
  );
  const prometheus = stack.use(
    await startDaemon(programs.prometheus, (address) => [
      `--config.file=${place('prometheus.yml')}`,
      `--storage.tsdb.path=${place('prometheus')}`,
      `--web.listen-address=${address}`,
      '--rules.alert.resend-delay=1s',
      '--log.level=warn',
    ]),
  );

  const prometheusUrl = `http://${prometheus.address}`;
  const alertmanagerUrl = `http://${alertmanager.address}`;
  async function query<Data>(path: string, parameters: Record<string, string>): Promise<Data> {
    const response = await fetch(`${prometheusUrl}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const answer = (await response.json()) as { status: string; error?: string; data: Data };
    if (answer.status !== 'success') throw new Error(`Prometheus: ${answer.error}`);
    return answer.data;
  }

  const owned = stack.move();
  return {
    prometheusUrl,
    alertmanagerUrl,
    async alerts() {
      const response = await fetch(`${alertmanagerUrl}/api/v2/alerts`);
      return (await response.json()) as ActiveAlert[];
    },
    async targets() {
      const { activeTargets } = await query<{
        activeTargets: {
          labels: Record<string, string>;
          health: 'up' | 'down' | 'unknown';
          lastError: string;
        }[];
      }>('targets', { state: 'active' });
      return activeTargets.map(({ labels, health, lastError }) => ({ labels, health, lastError }));
    },
    async range(promql, from, to) {
      const [start, end] = [from, to].map((time) => String(time.getTime() / 1000)) as [string, string];
      const { result } = await query<{ result: QueriedSeries[] }>('query_range', {
        query: promql,
        start,
        end,
        step: '1',
      });
      return result;
    },
    async instant(promql) {
      const { result } = await query<{
        result: { metric: Record<string, string>; value: [number, string] }[];
      }>('query', { query: promql });
      return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Daemon extends AsyncDisposable {
  /** host:port. */
  address: string;
}

const READY_MS = 60_000;
const TRIES = 3;

/** Ready at a free port of the loopback. A port that another took meanwhile is another try. */
async function startDaemon(program: string, argvAt: (address: string) => string[]): Promise<Daemon> {
  for (let attempt = 1; ; attempt += 1) {
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(program, argvAt(address), { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
    // Whatever ends this process ends its daemons.
    const killNow = () => child.kill('SIGKILL');
    process.once('exit', killNow);
    const ended = new Promise<Error>((resolve) => {
      child.on('error', resolve);
      child.on('close', (code) => resolve(new Error(`${program} ended with ${code}:\n${said}`)));
    }).finally(() => process.off('exit', killNow));
    const failed = await whenReady(`http://${address}/-/ready`, child);
    if (failed === undefined) {
      return {
        address,
        async [Symbol.asyncDispose]() {
          await end(child, ended);
        },
      };
    }
    const reason = isRunning(child) ? failed : await ended;
    await end(child, ended);
    if (attempt === TRIES) throw reason;
  }
}

async function end(child: ChildProcess, ended: Promise<Error>): Promise<void> {
  child.kill('SIGTERM');
  const killing = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(killing);
}

async function whenReady(url: string, child: ChildProcess): Promise<Error | undefined> {
  const until = performance.now() + READY_MS;
  while (isRunning(child) && performance.now() < until) {
    const ready = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return undefined;
    await delay(50);
  }
  return new Error(`${url} did not answer within ${READY_MS / 1000} s`);
}

const isRunning = ({ pid, exitCode, signalCode }: ChildProcess): boolean =>
  pid !== undefined && exitCode === null && signalCode === null;
