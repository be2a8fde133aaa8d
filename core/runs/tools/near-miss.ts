import { distance } from 'fastest-levenshtein';
import { linesOf, numbered } from './text-file.ts';

/** Lines compared at the most, and characters of each: enough for source files. */
const MAX_LINES = 20_000;
const MAX_LINE = 200;
const CONTEXT = 2;

/**
 * Where `wanted`, which does not occur in `text`, nearly does: a hint for the model with the real lines. Either the
 * same lines with other white space, or the line most like the first of it.
 */
export function nearMiss(text: string, wanted: string): string {
  const lines = linesOf(text).slice(0, MAX_LINES);
  const looked = linesOf(wanted).map(squeeze);
  while (looked[0] === '') looked.shift();
  while (looked.at(-1) === '') looked.pop();
  const first = looked[0];
  if (first === undefined || lines.length === 0) return '';
  const squeezed = lines.map(squeeze);
  const same = squeezed.findIndex((_, at) => looked.every((line, index) => squeezed[at + index] === line));
  if (same >= 0) {
    return `The same lines are there with other white space; copy them exactly:\n${numbered(lines, same + 1, same + looked.length)}`;
  }
  const best = squeezed
    .map((line, at) => ({ at, unlike: unlikeness(line, first) }))
    .reduce((least, line) => (line.unlike < least.unlike ? line : least));
  if (best.unlike > 0.4) return 'Nothing like its first line is in the file. Read the file again.';
  const from = Math.max(1, best.at + 1 - CONTEXT);
  const to = Math.min(lines.length, best.at + looked.length + CONTEXT);
  return `The most similar place in the file is:\n${numbered(lines, from, to)}`;
}

const squeeze = (line: string): string => line.replace(/\s+/g, ' ').trim();

/** 0: equal, 1: nothing in common. */
function unlikeness(line: string, wanted: string): number {
  const a = line.slice(0, MAX_LINE);
  const b = wanted.slice(0, MAX_LINE);
  const longest = Math.max(a.length, b.length);
  return longest === 0 ? 1 : distance(a, b) / longest;
}
