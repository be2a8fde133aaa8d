import { expect, it } from 'vitest';
import { toJson } from '#core/store/storable.ts';

const cleaned = (value: unknown): unknown => JSON.parse(toJson(value));

it('replaces NUL and halves of surrogate pairs, in keys too, and nothing else', () => {
  expect(cleaned({ 'k\0': ['a\0b', '\ud83d', '\udc00x', '\ud83d\ude00'] })).toEqual({
    'k\ufffd': ['a\ufffdb', '\ufffd', '\ufffdx', '\ud83d\ude00'],
  });
  const written = ['\\u0000', '\\\\u0000', '\\ud83d', '\u0001\n"\\', String.raw`C:\u0000`];
  expect(cleaned(written)).toEqual(written);
  expect(cleaned(undefined)).toBe(null);
});
