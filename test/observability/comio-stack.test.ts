import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { createMetrics } from '#observability/metrics.ts';
import { prometheusPrograms } from '#test/support/prometheus-programs.ts';
import { familiesOf } from './exposition.ts';

const folder = join(import.meta.dirname, '../../observability/stack');
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const promtool = async (...args: string[]): Promise<string> =>
  execFileSync((await prometheusPrograms(console.log)).promtool, args, { cwd: folder, encoding: 'utf8' });

/** The part of Grafana's dashboard format that ours uses; Grafana ignores what it does not know, so we do not. */
const datasource = z.strictObject({ type: z.literal('prometheus'), uid: z.literal(`\${datasource}`) });
const gridPos = z.strictObject({ h: z.int(), w: z.int(), x: z.int(), y: z.int() });
const query = z.strictObject({ datasource, expr: z.string(), legendFormat: z.string(), refId: z.string() });
const shared = { id: z.int(), title: z.string(), gridPos };
const panel = z.discriminatedUnion('type', [
  z.strictObject({ ...shared, type: z.literal('row'), collapsed: z.literal(false), panels: z.tuple([]) }),
  z.strictObject({
    ...shared,
    type: z.enum(['timeseries', 'stat']),
    description: z.string().optional(),
    datasource,
    fieldConfig: z.strictObject({
      defaults: z.strictObject({ unit: z.string(), min: z.number() }),
      overrides: z.tuple([]),
    }),
    options: z.record(z.string(), z.unknown()),
    targets: z.array(query).min(1),
  }),
]);
const dashboard = z.object({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.int().min(39),
  templating: z.object({ list: z.array(z.object({ name: z.string(), type: z.string() })) }),
  panels: z.array(panel),
});

const TRIED = join(import.meta.dirname, 'comio-alerts.test.yml');

const exposed = async (): Promise<Set<string>> => {
  const text = await createMetrics().scrape(async () => ({ ready: true, readings: [] }));
  const names = familiesOf(text).flatMap(({ name, type }) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name],
  );
  // What Prometheus adds.
  return new Set([...names, 'up']);
};

/** The names of the metrics in a PromQL expression. Throws where it is none. */
function metricsIn(expression: string): string[] {
  // Grafana puts these in before it asks.
  const filled = expression.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'comio');
  const names: string[] = [];
  parser.parse(filled).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${filled}`);
      if (node.name === 'Identifier' && node.node.parent?.name === 'VectorSelector')
        names.push(filled.slice(node.from, node.to));
    },
  });
  return names;
}

describe('the alert rules', () => {
  it('are rules to promtool, and fire when they should and only then', async () => {
    expect(await promtool('check', 'rules', 'comio-alerts.yml')).toContain('8 rules found');
    expect(await promtool('test', 'rules', TRIED)).toContain('SUCCESS');
  });

  it('ask for metrics that the service has, and each is tried both ways', async () => {
    const known = await exposed();
    const { groups } = parse(read('comio-alerts.yml')) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    const tried = readFileSync(TRIED, 'utf8');
    for (const { alert, expr } of groups.flatMap(({ rules }) => rules)) {
      expect(
        metricsIn(expr).filter((name) => !known.has(name)),
        alert,
      ).toEqual([]);
      expect(tried.split(alert).length, alert).toBe(3);
    }
  });
});

describe('the dashboard', () => {
  const { panels, templating } = dashboard.parse(JSON.parse(read('comio-dashboard.json')));
  const queries = panels.flatMap((one) => (one.type === 'row' ? [] : one.targets));

  it('asks PromQL for metrics that the service has, and for nearly all of ours', async () => {
    const known = await exposed();
    const asked = queries.flatMap(({ expr }) => metricsIn(expr));
    expect(asked.filter((name) => !known.has(name))).toEqual([]);
    const base = (name: string) => name.replace(/_(bucket|sum|count)$/, '');
    const shown = new Set(asked.map(base));
    const ours = [...known].map(base).filter((name) => name.startsWith('comio_'));
    expect([...new Set(ours)].filter((name) => !shown.has(name))).toEqual(
      [
        'comio_job_duration_seconds',
        'comio_messages_oldest_undecided_age_seconds',
        'comio_deployments_open',
      ].toSorted((a, b) => ours.indexOf(a) - ours.indexOf(b)),
    );
  });

  it('lets the data source be chosen, and has each panel in a place of its own', () => {
    expect(templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource' });
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });

  it('fails on a query that is none', () => {
    expect(() => metricsIn('sum by (rate(comio_ready[5m]')).toThrow('no PromQL');
  });
});
