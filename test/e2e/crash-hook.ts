import { appendFileSync, readFileSync } from 'node:fs';
import { createNamer } from './crash-points.ts';

/*
 * Loaded into the service before it starts (`node --import`). When the service logs one of the points that the file
 * CRASH_POINTS lists, it is killed right there, before its next instruction: SIGKILL, as the kernel or an operator would
 * send it. Somebody outside who reads the log and then kills is always some milliseconds late. A line `point +80 ms` is
 * killed that much later.
 */

const file = process.env.CRASH_POINTS;
if (file === undefined) throw new Error('CRASH_POINTS names no file');

let armed = '';
let name = createNamer();

function see(line: string): void {
  const now = readFileSync(file ?? '', 'utf8');
  if (now !== armed) {
    armed = now;
    name = createNamer();
  }
  const point = name(JSON.parse(line));
  if (point === undefined) return;
  for (const wanted of armed.split('\n')) {
    const [, plain, ms] = /^(.*?)(?: \+(\d+) ms)?$/.exec(wanted) ?? [];
    if (plain !== point) continue;
    if (ms === undefined) die(wanted);
    else setTimeout(() => die(wanted), Number(ms));
  }
}

function die(point: string): void {
  appendFileSync(`${file}.hit`, `${point}\n`);
  process.kill(process.pid, 'SIGKILL');
}

const write = process.stderr.write.bind(process.stderr);
Object.defineProperty(process.stderr, 'write', {
  value: (chunk: string | Uint8Array) => {
    const done = write(chunk);
    const text = String(chunk);
    if (text.startsWith('{')) see(text);
    return done;
  },
});
