import { describe, expect, it } from 'vitest';
import { type PlotOptions, plot } from '#observability/plot.ts';

const STEP_MS = 15_000;
const BEGIN = Date.UTC(2026, 10, 21, 11, 30);
const points = Array.from({ length: 60 }, (_, i) => ({ t: BEGIN + i * STEP_MS, v: i < 40 ? 0.05 : 0.15 }));
const options: PlotOptions = {
  title: 'shop: latency p95 is higher than usual',
  unit: 's',
  points,
  band: points.slice(24).map(({ t }) => ({ t, low: null, high: 0.08 })),
  window: { from: BEGIN + 40 * STEP_MS },
  stepMs: STEP_MS,
};

/** https://www.w3.org/TR/png-3/#11IHDR */
const sizeOf = (png: Uint8Array) => {
  const view = Buffer.from(png);
  expect(view.toString('latin1', 1, 4)).toBe('PNG');
  return [view.readUInt32BE(16), view.readUInt32BE(20)];
};
const draw = async (change: Partial<PlotOptions> = {}) => Buffer.from(await plot({ ...options, ...change }));

describe('a plot', () => {
  it('is a PNG of 800 × 320 at twice the density, small enough for a chat, and always the same', async () => {
    const png = await draw();
    expect(sizeOf(png)).toEqual([1600, 640]);
    expect(png.length).toBeLessThan(200_000);
    expect((await draw()).equals(png)).toBe(true);
  });

  it('shows each part of a finding', async () => {
    const png = await draw();
    const changes: Partial<PlotOptions>[] = [
      { title: 'shop: memory' },
      { subtitle: '150 ms, usually at most 80 ms' },
      { unit: 'bytes' },
      { points: points.map(({ t, v }) => ({ t, v: v / 2 })) },
      { points: points.filter((_, i) => i < 10 || i > 20) },
      { band: [] },
      { window: undefined },
      { window: { from: BEGIN + 40 * STEP_MS, to: BEGIN + 50 * STEP_MS } },
      { thresholds: [{ value: 0.1, label: 'limit' }] },
    ];
    for (const change of changes)
      expect((await draw(change)).equals(png), JSON.stringify(change)).toBe(false);
  });

  it('draws whatever comes: one point, nothing but zero, below zero, very large, hostile words', async () => {
    const flat = (v: number) => points.map(({ t }) => ({ t, v }));
    const all: Partial<PlotOptions>[] = [
      { points: points.slice(0, 1), band: [], window: undefined },
      { points: flat(0), band: [] },
      { points: flat(-5) },
      { points: flat(1e18), unit: 'bytes' },
      { band: points.map(({ t }) => ({ t, low: -1e12, high: 1e12 })) },
      { title: '<script>&amp;"\' \u0000 𝒳 \n', subtitle: 'x'.repeat(5000) },
    ];
    for (const change of all) expect(sizeOf(await draw(change))).toEqual([1600, 640]);
  });
});
