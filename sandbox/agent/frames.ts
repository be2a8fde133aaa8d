import type { ExecOptions, SandboxErrorCode, SearchOptions } from '../sandbox.ts';

/*
 * What the core and an agent say to each other over a byte stream: a frame is two 32-bit big-endian lengths, a JSON
 * header and raw bytes. Every request has an id of the client's choosing, which its answers carry.
 */

/** Raised with every change an older agent would not understand; containers outlive the core that made them. */
export const PROTOCOL = 1;

export type Request =
  | { id: number; op: 'hello' }
  | {
      id: number;
      op: 'exec';
      command: string;
      options: Omit<ExecOptions, 'signal' | 'onOutput'>;
      /** Whether output is wanted as it comes. */
      live: boolean;
      /** Cancelled before it was sent: nothing is started, but what runs under the key is ended. */
      aborted: boolean;
    }
  | {
      id: number;
      op: 'pipe';
      argv: [string, ...string[]];
      cwd?: string | undefined;
      env?: Readonly<Record<string, string>> | undefined;
    }
  /** Bytes for a pipe's input; with no bytes, its end. */
  | { id: number; op: 'stdin' }
  /** Kills what the request started. */
  | { id: number; op: 'cancel' }
  | { id: number; op: 'read'; path: string }
  | { id: number; op: 'write'; path: string }
  | { id: number; op: 'remove'; path: string }
  | { id: number; op: 'makeDirectory'; path: string }
  | { id: number; op: 'list'; path: string; options: { depth?: number; maxEntries?: number } }
  | { id: number; op: 'search'; options: SearchOptions };

export type Response =
  /** More output of an exec, or of a pipe's stdout. */
  | { id: number; type: 'output' }
  | { id: number; type: 'done'; value?: unknown }
  | { id: number; type: 'failed'; code: SandboxErrorCode; message: string };

export interface Frame<Header> {
  header: Header;
  bytes: Buffer;
}

const MAX_HEADER = 16 * 1_048_576;
const MAX_BYTES = 16 * 1_048_576;

export function encodeFrame(header: Request | Response, bytes: Buffer = Buffer.alloc(0)): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(json.length, 0);
  lengths.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([lengths, json, bytes]);
}

/** Feed it chunks; it returns the frames they complete. Throws on lengths no honest peer sends. */
export function createFrameReader<Header>(): (chunk: Buffer) => Frame<Header>[] {
  let pending: Buffer[] = [];
  let have = 0;
  let need = 8;
  return (chunk) => {
    pending.push(chunk);
    have += chunk.length;
    if (have < need) return [];
    let data = Buffer.concat(pending);
    const frames: Frame<Header>[] = [];
    for (;;) {
      need = 8;
      if (data.length < need) break;
      const headerLength = data.readUInt32BE(0);
      const bytesLength = data.readUInt32BE(4);
      if (headerLength > MAX_HEADER || bytesLength > MAX_BYTES)
        throw new RangeError('A frame past all limits');
      need = 8 + headerLength + bytesLength;
      if (data.length < need) break;
      frames.push({
        header: JSON.parse(data.toString('utf8', 8, 8 + headerLength)),
        bytes: data.subarray(8 + headerLength, need),
      });
      data = data.subarray(need);
    }
    pending = [data];
    have = data.length;
    return frames;
  };
}
