import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../../support/free-port.ts';
import { prometheusPrograms } from '../../support/prometheus-programs.ts';
import { createTempDir } from '../../support/temp-dir.ts';

const run = promisify(execFile);

/** A real Prometheus that scrapes nothing and knows what `openMetrics` says, of whatever time. */
export async function startBackfilledPrometheus(
  openMetrics: string,
): Promise<{ url: string } & AsyncDisposable> {
  const { prometheus, promtool } = await prometheusPrograms(console.log);
  await using starting = new AsyncDisposableStack();
  const { path } = starting.use(await createTempDir());
  const [metrics, config, data] = [
    join(path, 'metrics.txt'),
    join(path, 'prometheus.yml'),
    join(path, 'data'),
  ];
  await writeFile(metrics, openMetrics);
  await writeFile(config, 'global: {}\n');
  await run(promtool, ['tsdb', 'create-blocks-from', 'openmetrics', metrics, data]);

  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    prometheus,
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${data}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--storage.tsdb.retention.time=10y',
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += String(chunk);
  });
  const ended = once(child, 'exit');
  starting.defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  while (!(await isReady(url))) {
    if (child.exitCode !== null) throw new Error(`Prometheus ended: ${said}`);
    await setTimeout(50);
  }
  const held = starting.move();
  return { url, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

const isReady = (url: string): Promise<boolean> =>
  fetch(`${url}/-/ready`).then(
    (response) => response.ok,
    () => false,
  );
