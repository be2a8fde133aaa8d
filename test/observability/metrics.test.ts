import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createMetrics } from '#observability/metrics.ts';
import { type TestComio, testComio } from '#test/support/comio.ts';
import { prometheusPrograms } from '#test/support/prometheus-programs.ts';
import { familiesOf, valueIn } from './exposition.ts';
import { greeting, worked } from './greeting.ts';

let world: TestComio;
let text: string;
const scrape = async (): Promise<string> => (await world.comio.app.request('/metrics')).text();

beforeAll(async () => {
  const prices = { scripted: { input: 1_000_000, output: 0, cacheRead: 0, cacheWrite: 0 } };
  world = await testComio({ script: greeting, env: { LLM_PRICES: JSON.stringify(prices) } });
  await worked(world.chat);
  await vi.waitUntil(async () => valueIn(await scrape(), 'comio_outbox_pending') === 0, 20_000);
  text = await scrape();
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

describe('what a working service exposes', () => {
  it('satisfies promtool check metrics', async () => {
    const { promtool } = await prometheusPrograms(console.log);
    const { status, stdout, stderr } = spawnSync(promtool, ['check', 'metrics'], {
      input: text,
      encoding: 'utf8',
    });
    // Of prom-client's process metrics two are named by their makers' own taste.
    const ours = (stdout + stderr).split('\n').filter((line) => line !== '' && !line.startsWith('nodejs_'));
    expect({ ours, status: ours.length === 0 ? 0 : status }).toEqual({ ours: [], status: 0 });
  });

  it('has help, and a unit or a count in every name of ours', () => {
    const ours = familiesOf(text).filter(({ name }) => name.startsWith('comio_'));
    expect(ours.length).toBeGreaterThan(25);
    for (const { name, help, type } of ours) {
      expect(help, name).toMatch(/^[A-Z0-9].{10,}\.$/);
      expect(type, name).toMatch(/^(counter|gauge|histogram)$/);
      if (type === 'counter') expect(name).toMatch(/_total$/);
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
      // A gauge is seconds or counts things.
      if (type === 'gauge')
        expect(name).toMatch(
          /(_seconds|_open|_queued|_pending|_undecided|_waiting|_jobs|comio_sandboxes|comio_ready)$/,
        );
    }
  });

  it('counts what happened', () => {
    const value = (name: string) => valueIn(text, name);
    expect(value('comio_ready')).toBe(1);
    expect(value('comio_turns_total{verb="new",state="done"}')).toBe(1);
    expect(value('comio_turn_duration_seconds_count{verb="new",state="done"}')).toBe(1);
    expect(value('comio_step_duration_seconds_count{kind="tool",state="done"}')).toBe(1);
    // The file, the end, and the end again when it was told that nothing is committed.
    expect(value('comio_model_call_duration_seconds_count{provider="scripted",model="scripted"}')).toBe(3);
    expect(value('comio_messages_received_total{surface="slack",result="claimed"}')).toBe(1);
    expect(value('comio_message_receive_duration_seconds_count{surface="slack",result="claimed"}')).toBe(1);
    expect(value('comio_outbox_sends_total{surface="slack",result="ok"}')).toBeGreaterThan(2);
    expect(value('comio_outbox_sends_total{surface="slack",result="dead"}')).toBe(0);
    // The live card, the final answer, 👀 and ✅, each for the first time once.
    expect(value('comio_outbox_first_send_delay_seconds_count{surface="slack"}')).toBe(4);
    expect(value('comio_job_duration_seconds_count{queue="run",result="done"}')).toBeGreaterThan(0);
    expect(value('comio_sandbox_start_duration_seconds_count{result="ok"}')).toBe(1);
    expect(value('comio_sandboxes{state="running"}')).toBe(1);
    const tokens = value('comio_model_tokens_total{provider="scripted",model="scripted",kind="input"}');
    expect(tokens).toBeGreaterThan(0);
    expect(value('comio_model_cost_dollars_total{provider="scripted",model="scripted"}')).toBeCloseTo(tokens);
  });

  it('reads from the rows what waits', () => {
    for (const name of ['comio_turns_open', 'comio_turns_queued', 'comio_messages_undecided'])
      expect(valueIn(text, name), name).toBe(0);
    expect(valueIn(text, 'comio_queue_jobs{queue="inbox",state="ready"}')).toBe(0);
    expect(valueIn(text, 'comio_queue_oldest_age_seconds{queue="run"}')).toBe(0);
    expect(valueIn(text, 'comio_incidents_open{severity="critical"}')).toBe(0);
    expect(valueIn(text, 'comio_deployment_duration_seconds_bucket{le="+Inf"}')).toBe(0);
    expect(valueIn(text, 'comio_approvals_decided_total{subject="deployment",decision="approved"}')).toBe(0);
  });

  it('labels HTTP requests by the route, not by what was asked for', async () => {
    for (let n = 0; n < 20; n++) await world.comio.app.request(`/no-such-${randomUUID()}`);
    const labels = (await scrape()).match(/route="[^"]*"/g) ?? [];
    expect(new Set(labels)).toEqual(new Set(['route="/metrics"', 'route="/*"']));
  });

  it('names nothing that people wrote', () => {
    expect(text).not.toMatch(/greeting|ada|hello/i);
  });

  it('gives those who scrape at once one reading', async () => {
    const texts = await Promise.all(Array.from({ length: 20 }, scrape));
    expect(new Set(texts).size).toBe(1);
  });
});

it('without a database still tells of the process, that it is not ready, and nothing that is no longer known', async () => {
  const metrics = createMetrics();
  const reading = { name: 'comio_turns_open', labels: {}, value: 3 };
  const before = await metrics.scrape(async () => ({ ready: true, readings: [reading] }));
  expect([valueIn(before, 'comio_ready'), valueIn(before, 'comio_turns_open')]).toEqual([1, 3]);
  const after = await metrics.scrape(() => Promise.reject(new Error('away')));
  expect(valueIn(after, 'comio_ready')).toBe(0);
  expect(after).not.toMatch(/^comio_(turns_open|incidents_open|deployments_total|queue_jobs)/m);
  expect(after).toMatch(/^process_cpu_seconds_total /m);
});
