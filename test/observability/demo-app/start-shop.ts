import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from '../../support/sources.ts';

export interface ShopProcess extends AsyncDisposable {
  url: string;
  /** host:port. */
  address: string;
  /** What it logged so far. */
  lines: Record<string, unknown>[];
  /** Resolves to the exit code after SIGTERM. */
  terminate(): Promise<number | null>;
  send(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }>;
  /** The sum of the values of the series whose name and labels contain `parts`. */
  read(name: string, ...parts: string[]): Promise<number>;
}

/** The shop as a process of its own, with its chaos switches: that of `directory`, or the one in the repository. */
export async function startShop(directory = join(root, 'observability/demo-app/shop')): Promise<ShopProcess> {
  const child = spawn(process.execPath, ['src/main.js'], {
    cwd: directory,
    env: { ...process.env, PORT: '0', CHAOS: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: Record<string, unknown>[] = [];
  const ended = new Promise<number | null>((resolve, reject) =>
    child.on('error', reject).on('close', resolve),
  );
  const address = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const parsed = JSON.parse(line) as Record<string, unknown>;
      lines.push(parsed);
      if (parsed.port !== undefined) resolve(`127.0.0.1:${String(parsed.port)}`);
    });
    ended.then((code) => reject(new Error(`The shop ended with ${code}`)), reject);
  });
  const url = `http://${address}`;

  const shop: ShopProcess = {
    url,
    address,
    lines,
    terminate() {
      child.kill('SIGTERM');
      return ended;
    },
    async send(method, path, body) {
      const response = await fetch(url + path, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return { status: response.status, text: await response.text() };
    },
    async read(name, ...parts) {
      const { text } = await shop.send('GET', '/metrics');
      const found = text
        .split('\n')
        .filter((line) => /^\w+/.exec(line)?.[0] === name && parts.every((part) => line.includes(part)));
      return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
  return shop;
}
