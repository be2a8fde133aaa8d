/** Keeps the first and the last half of `maxBytes` of a byte stream: a failure shows at either end of a log. */
export interface OutputBuffer {
  add(chunk: Buffer): void;
  /** UTF-8 with replacement; characters are not split by the cut, which is named in the text where it is. */
  result(): { output: string; cutBytes: number };
}

export function createOutputBuffer(maxBytes: number): OutputBuffer {
  const headMax = Math.ceil(maxBytes / 2);
  const tailMax = maxBytes - headMax;
  const head: Buffer[] = [];
  let headBytes = 0;
  let tail: Buffer[] = [];
  let tailBytes = 0;
  let total = 0;
  return {
    add(chunk) {
      total += chunk.length;
      const toHead = chunk.subarray(0, headMax - headBytes);
      if (toHead.length > 0) {
        head.push(toHead);
        headBytes += toHead.length;
      }
      const rest = chunk.subarray(toHead.length);
      if (rest.length === 0) return;
      tail.push(rest);
      tailBytes += rest.length;
      // Compacting only at twice the size keeps the cost per byte constant.
      if (tailBytes > 2 * tailMax + 65_536) {
        tail = [lastBytes(Buffer.concat(tail), tailMax)];
        tailBytes = tailMax;
      }
    },
    result() {
      if (total <= maxBytes) return { output: Buffer.concat([...head, ...tail]).toString(), cutBytes: 0 };
      const start = trimEnd(Buffer.concat(head));
      const end = trimStart(lastBytes(Buffer.concat(tail), tailMax));
      const cutBytes = total - start.length - end.length;
      return { output: `${start}\n[… ${cutBytes} bytes cut …]\n${end}`, cutBytes };
    },
  };
}

const lastBytes = (bytes: Buffer, count: number): Buffer => bytes.subarray(Math.max(0, bytes.length - count));

/** Without the beginning of a character whose end was cut off. */
function trimEnd(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}

/** Without the end of a character whose beginning was cut off. */
function trimStart(bytes: Buffer): Buffer {
  let skip = 0;
  while (skip < 3 && ((bytes[skip] ?? 0) & 0xc0) === 0x80) skip += 1;
  return bytes.subarray(skip);
}
