/**
 * At most about `max` characters of `text`: its beginning and its end (a failure shows at either), cut at line ends
 * where there is one near, with a notice in between. `cutBefore`: characters the text has lost already.
 */
export function truncate(text: string, max: number, cutBefore = 0): string {
  if (text.length <= max) return text;
  const head = endAtLine(text.slice(0, Math.ceil(max / 3)));
  const tail = beginAtLine(text.slice(text.length - Math.floor((max * 2) / 3)));
  const middle = text.slice(head.length, text.length - tail.length);
  const cut = middle.length + cutBefore;
  const lines = cutBefore === 0 ? ` in ${middle.split('\n').length} lines` : '';
  return `${head.replace(/\n$/, '')}\n[… ${cut} characters${lines} cut here …]\n${tail}`;
}

/** A line is looked for within this many characters of the cut. */
const NEAR = 400;

function endAtLine(text: string): string {
  const at = text.lastIndexOf('\n');
  if (at >= 0 && at > text.length - NEAR) return text.slice(0, at + 1);
  return isHighSurrogate(text.charCodeAt(text.length - 1)) ? text.slice(0, -1) : text;
}

function beginAtLine(text: string): string {
  const at = text.indexOf('\n');
  if (at >= 0 && at < NEAR) return text.slice(at + 1);
  return isHighSurrogate(text.charCodeAt(0) - 0x400) ? text.slice(1) : text;
}

/** 0xd800–0xdbff; the low half of a pair is 0x400 further. */
const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

/** One line of at most `max` characters. */
export const oneLine = (text: string, max: number): string => {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
};

/** What a request is called where there is room for a line: its first paragraph. */
export const gist = (request: string, max: number): string =>
  oneLine(request.split(/\n\s*\n/, 1)[0] ?? '', max);
