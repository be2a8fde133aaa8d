import { describe, expect, it } from 'vitest';
import type { WatchedSeries, WatchSample } from '#core/incidents/tables.ts';
import { watchCard } from '#core/incidents/watch-card.ts';
import { isInside, verdictOf } from '#core/incidents/watch-verdict.ts';

const band = (title: string): WatchedSeries => ({
  signalId: title,
  title,
  kind: 'band',
  query: title,
  labels: {},
  low: 0,
  high: 10,
});
/** `i` inside, `o` outside, `-` not measured; one letter for each series of a look. */
const looks = (text: string): WatchSample[] =>
  text.split(' ').map((look) => ({
    at: '2026-01-01T00:00:00Z',
    values: [...look].map((letter) => ({ i: 5, o: 50 })[letter] ?? null),
    inside: [...look].map((letter) => ({ i: true, o: false })[letter] ?? null),
  }));
const verdict = (text: string) => {
  const samples = looks(text);
  return verdictOf(samples[0]?.inside.map((_, index) => band(`s${index}`)) ?? [], samples);
};

describe('a series is back', () => {
  it.each([
    ['i i i i i i', 'inside in the last 6 of 6 looks'],
    ['o o o o i i', 'inside in the last 2 of 6 looks'],
    ['ii oi ii ii ii', 'All 2 series were inside in the last 3 of 5 looks'],
    ['i i - i i i', '(1 without data)'],
    ['i', 'in the last 1 of 1 looks'],
  ])('%s', (text, words) => {
    expect(verdict(text)).toMatchObject({ outcome: 'recovered' });
    expect(verdict(text).words).toContain(words);
  });
});

describe('a series is not back', () => {
  it.each([
    ['o o o o o i', 'Outside at look 5 of 6'],
    ['i i i i i o', 'Outside at look 6 of 6'],
    ['ii ii ii ii io', 'Outside at look 5 of 5'],
  ])('%s', (text, words) => {
    expect(verdict(text)).toMatchObject({ outcome: 'not_recovered' });
    expect(verdict(text).words).toContain(words);
  });
});

describe('whether a series is back is not known', () => {
  it.each([
    ['- - - - - -', 'Only 0 of the last 6 looks'],
    ['o o o - - i', 'proves no recovery'],
    // The one that recovered does not stand for the one nobody sees.
    ['i- i- i- i-', 'Only 0 of the last 4 looks'],
  ])('%s', (text, words) => {
    expect(verdict(text)).toMatchObject({ outcome: 'unknown' });
    expect(verdict(text).words).toContain(words);
  });
});

it('a band may be open at either end', () => {
  expect(isInside({ low: null, high: 3 }, -100)).toBe(true);
  expect(isInside({ low: 2, high: null }, 1)).toBe(false);
  expect(isInside({ low: 1, high: 1 }, 1)).toBe(true);
});

it('says plainly what is not back, with its values and what can be done', () => {
  const card = watchCard({
    outcome: 'not_recovered',
    words: 'Outside at look 2 of 2.',
    series: [band('latency')],
    samples: looks('o o'),
    stepMs: 15_000,
    durationMs: 60_000,
    environment: 'production',
    hasMetrics: true,
  });
  expect(card).toMatchObject({ title: 'Not recovered', tone: 'danger' });
  const text = JSON.stringify(card.blocks);
  expect(text).toContain('last 50, expected 0 to 10');
  expect(text).toContain('rollback production');
});
