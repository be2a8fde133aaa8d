import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import { alertmanagerConfig, httpRules, PRODUCTION, prometheusConfig } from '#observability/stack/stack.ts';
import { type PrometheusPrograms, prometheusPrograms } from '../../support/prometheus-programs.ts';
import { root } from '../../support/sources.ts';

const run = promisify(execFile);
const place = (name: string): string => join(root, 'observability/stack', name);

let programs: PrometheusPrograms;
beforeAll(async () => {
  programs = await prometheusPrograms(console.error);
});

/** Throws with what it said unless it succeeds. */
const check = async (program: keyof PrometheusPrograms, ...argv: string[]): Promise<string> => {
  const { stdout } = await run(programs[program], argv);
  return stdout;
};

it('keeps the files that are documented the same as the functions that render them', async () => {
  // `vitest run -u` writes them.
  await expect(prometheusConfig(PRODUCTION.prometheus)).toMatchFileSnapshot(place('prometheus.yml'));
  await expect(alertmanagerConfig(PRODUCTION.alertmanager)).toMatchFileSnapshot(place('alertmanager.yml'));
  await expect(httpRules(PRODUCTION.rules)).toMatchFileSnapshot(place('http-rules.yml'));
});

it('is valid to Prometheus', async () => {
  expect(await check('promtool', 'check', 'config', place('prometheus.yml'))).toMatch(/is valid/);
  expect(await check('promtool', 'check', 'rules', '--lint-fatal', place('http-rules.yml'))).toMatch(
    /SUCCESS: 10 rules/,
  );
});

it('is valid to Alertmanager, and sends everything to Comio', async () => {
  expect(await check('amtool', 'check-config', place('alertmanager.yml'))).toMatch(/SUCCESS/);
  const routed = await check(
    'amtool',
    'config',
    'routes',
    'test',
    `--config.file=${place('alertmanager.yml')}`,
    'severity=critical',
  );
  expect(routed.trim()).toBe('comio');
});

it('alerts about what is wrong with an app, and about nothing else', async () => {
  const cases = join(import.meta.dirname, 'http-rules.cases.yml');
  expect(await check('promtool', 'test', 'rules', cases)).toMatch(/SUCCESS/);
  // Every alert has a case in which it fires.
  const tested = await readFile(cases, 'utf8');
  const alerts = [...httpRules(PRODUCTION.rules).matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  expect(alerts).toHaveLength(5);
  for (const name of alerts) expect(tested).toMatch(new RegExp(`alertname: ${name}\\n\\s+exp_alerts:\\n`));
});
