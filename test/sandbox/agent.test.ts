import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFrameReader, encodeFrame, type Request } from '#sandbox/agent/frames.ts';
import { createOutputBuffer } from '#sandbox/agent/output.ts';

/** Cuts bytes at arbitrary places. */
const chunked = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
};

describe('the output buffer', () => {
  it('keeps both ends whole, however the bytes come', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 3000 }),
        fc.integer({ min: 1, max: 4000 }),
        fc.array(fc.nat()),
        (text, max, cuts) => {
          const bytes = Buffer.from(text);
          const whole = bytes.toString();
          const buffer = createOutputBuffer(max);
          for (const chunk of chunked(bytes, cuts)) buffer.add(chunk);
          const { output, cutBytes } = buffer.result();
          if (bytes.length <= max) {
            expect({ output, cutBytes }).toEqual({ output: whole, cutBytes: 0 });
            return;
          }
          const notice = `\n[… ${cutBytes} bytes cut …]\n`;
          const at = output.indexOf(notice);
          const [head, tail] = [output.slice(0, at), output.slice(at + notice.length)];
          expect(whole.startsWith(head)).toBe(true);
          expect(whole.endsWith(tail)).toBe(true);
          const kept = Buffer.byteLength(head) + Buffer.byteLength(tail);
          expect(kept + cutBytes).toBe(bytes.length);
          expect(kept).toBeLessThanOrEqual(max);
          expect(kept).toBeGreaterThan(max - 8);
        },
      ),
    );
  });
});

describe('frames', () => {
  it('come out as they went in, however the bytes come', () => {
    const message = fc.record({ id: fc.nat(), text: fc.string(), bytes: fc.uint8Array({ maxLength: 200 }) });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat()), (messages, cuts) => {
        const sent = messages.map(({ id, text, bytes }) => ({
          header: { id, op: 'read', path: text } satisfies Request,
          bytes: Buffer.from(bytes),
        }));
        const stream = Buffer.concat(sent.map((frame) => encodeFrame(frame.header, frame.bytes)));
        const read = createFrameReader<Request>();
        const got = chunked(stream, cuts).flatMap((chunk) => read(chunk));
        expect(got).toEqual(sent);
      }),
    );
  });

  it('refuses a length no honest peer sends', () => {
    const read = createFrameReader<Request>();
    expect(() => read(Buffer.from('HTTP/1.1 400 Bad Request\r\n'))).toThrow(RangeError);
  });
});
