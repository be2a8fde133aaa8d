import type { Sandbox } from '#sandbox/sandbox.ts';

/** Where a value was found inside a sandbox. Empty: nowhere a process of it can look. */
export type Leak = { value: string; where: string };

/**
 * Looks for values inside a running sandbox: in the environment and command line of every process, the environment of
 * a new command, and all files that can be read (not /sys, nor what /proc has beside processes).
 * The values go in by standard input, so that the search does not find itself.
 */
export async function scanForSecrets(sandbox: Sandbox, values: readonly string[]): Promise<Leak[]> {
  const result = await sandbox.pipe(['node', '-e', SCAN], {
    stdin: Buffer.from(JSON.stringify(values)),
  });
  if (result.exitCode !== 0) throw new Error(`The search failed: ${result.stderr}`);
  return JSON.parse(result.stdout.toString());
}

const SCAN = `
const fs = require('node:fs');
const values = JSON.parse(fs.readFileSync(0, 'utf8')).map((text) => Buffer.from(text));
const leaks = [];
let looked = 0;
const look = (where) => {
  let bytes;
  try { bytes = fs.readFileSync(where); } catch { return; }
  looked += 1;
  for (const value of values) if (bytes.includes(value)) leaks.push({ value: value.toString(), where });
};
const walked = new Set();
const walk = (directory) => {
  let entries;
  try {
    // Most processes have a working directory that was looked through before.
    const { dev, ino } = fs.statSync(directory);
    if (walked.has(dev + ':' + ino)) return;
    walked.add(dev + ':' + ino);
  } catch { return; }
  try { entries = fs.readdirSync(directory, { withFileTypes: true }); } catch { return; }
  for (const entry of entries) {
    const path = directory === '/' ? '/' + entry.name : directory + '/' + entry.name;
    if (path === '/proc' || path === '/sys' || path === '/dev') continue;
    if (entry.isDirectory()) walk(path);
    else if (entry.isFile()) look(path);
  }
};
walk('/');
for (const pid of fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
  look('/proc/' + pid + '/environ');
  look('/proc/' + pid + '/cmdline');
  walk('/proc/' + pid + '/cwd');
}
if (looked < 100) throw new Error('Only ' + looked + ' files could be read');
console.log(JSON.stringify(leaks));`;
