/** More lines than anyone reads; bounds what is taken into memory. */
export const MAX_LOG_LINES = 2000;
/** Of one line; longer ones are cut. */
const MAX_LINE_CHARS = 4000;
const MAX_CHARS = 512 * 1024;
const HEADER_BYTES = 8;

/**
 * The lines in Docker's multiplexed stream of stdout and stderr (`POST /containers/{id}/attach`, stream format: one
 * byte of stream, three of zero, four of length), in the order they were ended. The newest are kept.
 */
export function linesOf(frames: Buffer): string[] {
  const lines: string[] = [];
  const begun = new Map<number, string>();
  for (let at = 0; at + HEADER_BYTES <= frames.length; ) {
    const stream = frames.readUInt8(at);
    const length = frames.readUInt32BE(at + 4);
    const text =
      (begun.get(stream) ?? '') + frames.toString('utf8', at + HEADER_BYTES, at + HEADER_BYTES + length);
    const ended = text.split('\n');
    // No more of a line than is shown: one without an end would be split again with every frame.
    begun.set(stream, (ended.pop() ?? '').slice(0, MAX_LINE_CHARS + 1));
    lines.push(...ended);
    at += HEADER_BYTES + length;
  }
  for (const rest of begun.values()) if (rest !== '') lines.push(rest);
  return bounded(lines);
}

/** The newest lines that fit into what a caller is given at the most. */
export function bounded(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let chars = 0;
  for (const line of lines.toReversed()) {
    const cut = line.length > MAX_LINE_CHARS ? `${line.slice(0, MAX_LINE_CHARS)}…` : line;
    chars += cut.length;
    if (chars > MAX_CHARS) break;
    kept.push(cut.replace(/\r$/, ''));
  }
  return kept.reverse();
}

/** Whether a target may have left out older lines, as there is an end to how many it gives. */
export const isCut = (lines: readonly string[], asked: number): boolean =>
  lines.length >= Math.min(asked, MAX_LOG_LINES) ||
  lines.reduce((chars, line) => chars + line.length, 0) > MAX_CHARS - MAX_LINE_CHARS - 2;
