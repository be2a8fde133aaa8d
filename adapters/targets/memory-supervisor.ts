import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

// The program that runs one app of the memory target, in a process of its own so that both outlive the core:
// `node memory-supervisor.ts DIRECTORY SOURCE COMMAND ENVIRONMENT-AS-JSON`.

const [directory = '', source = '', command = '', environment = '{}'] = process.argv.slice(2);

/** The kernel lets one process hold the name, and frees it when that one ends, however. */
const lock = createServer();
lock.once('error', () => process.exit(0));
lock.listen(`\0comio-target-${directory}`, () => void run());

/** Whole or not at all. */
async function put(name: string, content: object): Promise<void> {
  const path = join(directory, name);
  await writeFile(`${path}.part`, JSON.stringify(content));
  await rename(`${path}.part`, path);
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function run(): Promise<void> {
  const port = await freePort();
  const app = spawn('/bin/sh', ['-c', command], {
    cwd: source,
    env: { ...JSON.parse(environment), PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const log = createWriteStream(join(directory, 'log'), { flags: 'a' });
  for (const output of [app.stdout, app.stderr]) {
    createInterface({ input: output }).on('line', (line) => log.write(`${Date.now()} ${line}\n`));
  }
  const ended = new Promise<number>((resolve) => {
    app.once('error', () => resolve(127));
    app.once('close', (code, signal) => resolve(code ?? (signal === 'SIGTERM' ? 143 : 137)));
  });
  await put('started.json', { pid: app.pid, supervisor: process.pid, port, startedAt: Date.now() });
  const exitCode = await ended;
  await new Promise((resolve) => log.end(resolve));
  await put('ended.json', { exitCode });
  lock.close();
}
