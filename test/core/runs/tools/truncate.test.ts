import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { oneLine, truncate } from '#core/runs/tools/truncate.ts';

const NOTICE = /\n?\[… (\d+) characters(?: in \d+ lines)? cut here …\]\n/;

describe('truncate', () => {
  it('leaves alone what fits', () => {
    expect(truncate('short\n', 6)).toBe('short\n');
  });

  it('keeps the beginning and the end, at line ends, and says how much is gone', () => {
    const lines = Array.from({ length: 1000 }, (_, index) => `line ${index + 1}`);
    const text = lines.join('\n');
    const cut = truncate(text, 900);
    expect(cut.startsWith('line 1\nline 2\n')).toBe(true);
    expect(cut.endsWith('line 999\nline 1000')).toBe(true);
    const [head = '', , tail = ''] = cut.split(NOTICE);
    const kept = [...head.split('\n'), ...tail.split('\n')];
    expect(lines).toEqual(expect.arrayContaining(kept));
    expect(Number(NOTICE.exec(cut)?.[1])).toBe(text.length - head.length - 1 - tail.length);
  });

  it('counts what was cut before', () => {
    const cut = truncate('x'.repeat(100), 30, 1_000_000);
    expect(cut).toContain('[… 1000070 characters cut here …]');
  });

  it('never splits a character, nor loses count, nor grows much', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.integer({ min: 1, max: 200 }),
        (text, max) => {
          const cut = truncate(text, max);
          expect(cut.length).toBeLessThanOrEqual(max + 60);
          expect(cut.isWellFormed()).toBe(text.isWellFormed());
          if (text.length <= max) expect(cut).toBe(text);
          else expect(cut).toMatch(NOTICE);
        },
      ),
    );
  });
});

describe('oneLine', () => {
  it.each([
    ['  a\n\tb  ', 10, 'a b'],
    ['abcdef', 6, 'abcdef'],
    ['abcdefg', 6, 'abcde…'],
  ])('%j in %i characters is %j', (text, max, expected) => {
    expect(oneLine(text, max)).toBe(expected);
  });
});
