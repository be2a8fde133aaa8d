import { expect, it } from 'vitest';
import { linesOf } from '#adapters/targets/log-lines.ts';

const frame = (text: string): Buffer => {
  const header = Buffer.alloc(8);
  header.writeUInt8(1, 0);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

it('cuts a line that does not end, however many frames it comes in, and goes on after it', () => {
  const piece = frame('x'.repeat(16_000));
  const frames = [...Array<Buffer>(200).fill(piece), frame('end\nnext\n')];
  const [cut, next, ...more] = linesOf(Buffer.concat(frames));
  expect(cut).toMatch(/^x{4000}…$/);
  expect([next, ...more]).toEqual(['next']);
});
