import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bug, buildShopRepository, type ShopHistory } from '#observability/demo-app/history.ts';
import { root } from '../../support/sources.ts';
import { createTempDir } from '../../support/temp-dir.ts';
import { startShop } from './start-shop.ts';

const run = promisify(execFile);

const cleanup = new AsyncDisposableStack();
let repository: string;
let history: ShopHistory;

beforeAll(async () => {
  repository = cleanup.use(await createTempDir()).path;
  history = await buildShopRepository(repository);
});
afterAll(() => cleanup.disposeAsync());

const git = async (...argv: string[]): Promise<string> => {
  const { stdout } = await run('git', ['-C', repository, ...argv]);
  return stdout.trim();
};

/** A command of the shop's, in its repository; what it printed. */
const inShop = async (command: string): Promise<{ exitCode: number; output: string }> => {
  const [, ...argv] = command.split(' ');
  try {
    const { stdout } = await run(process.execPath, argv, { cwd: repository });
    return { exitCode: 0, output: stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { exitCode: code, output: stdout };
  }
};
const checkOut = async (sha: string): Promise<void> => {
  await git('clean', '-q', '-f', '-d', '-x');
  await git('checkout', '-q', '--force', '--detach', sha);
};
const testCommand = async (): Promise<string> => {
  const manifest = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
    scripts: { test: string };
  };
  return manifest.scripts.test.replaceAll('"', '');
};

describe('the history of the shop', () => {
  it('is the same on every machine and at every time', async () => {
    await using other = await createTempDir();
    expect(await buildShopRepository(other.path)).toEqual(history);
    expect(await git('log', '--format=%an <%ae> %cn %ct', '-1', history.badCommit)).toBe(
      'Shop Team <team@shop.example> Shop Team 1769013000',
    );
    expect(history.commits).toHaveLength(7);
    expect(await git('rev-parse', 'main')).toBe(history.badCommit);
    expect(await git('rev-parse', 'main~1')).toBe(history.goodCommit);
  });

  it('has at its last good commit what lies in shop/, and after it one innocent change', async () => {
    const shop = join(root, 'observability/demo-app/shop');
    const there = (await readdir(shop, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(shop.length + 1));
    const listed = (await git('ls-tree', '-r', '--name-only', history.goodCommit)).split('\n');
    expect(listed.toSorted()).toEqual(there.toSorted());
    for (const file of there) {
      const stored = await git('show', `${history.goodCommit}:${file}`);
      expect(stored, file).toBe((await readFile(join(shop, file), 'utf8')).trim());
    }
    expect(await git('diff', '--name-only', history.goodCommit, history.badCommit)).toBe(bug.file);
  });

  it('passes its own tests at every commit', async () => {
    for (const { sha, message } of history.commits) {
      await checkOut(sha);
      const { exitCode, output } = await inShop(await testCommand());
      expect(exitCode, `${message}\n${output}`).toBe(0);
      expect(output).toMatch(/^# pass [1-9]|^ℹ pass [1-9]/m);
    }
  });
});

describe('the bug', () => {
  const { fix, reproduction } = bug;

  it('is shown by the reproduction, and mended by the fix', async () => {
    await checkOut(history.badCommit);
    await writeFile(join(repository, reproduction.file), reproduction.content);
    const before = await inShop(reproduction.command);
    expect(before.exitCode).toBe(1);
    expect(before.output).toContain('an order of 51 pieces');

    for (const { file, old, new: replacement } of fix.edits) {
      const path = join(repository, file);
      const source = await readFile(path, 'utf8');
      expect(source.split(old)).toHaveLength(2);
      await writeFile(path, source.replace(old, replacement));
    }
    expect((await inShop(reproduction.command)).exitCode).toBe(0);
    expect((await inShop(await testCommand())).exitCode).toBe(0);
  });

  it('was not there before', async () => {
    await checkOut(history.goodCommit);
    await writeFile(join(repository, reproduction.file), reproduction.content);
    expect((await inShop(reproduction.command)).exitCode).toBe(0);
  });

  it('shows in metric and log: some orders fail, and the line says where', async () => {
    await checkOut(history.badCommit);
    await using shop = await startShop(repository);
    for (const quantity of [1, 50, 51, 80]) {
      await shop.send('POST', '/orders', { customer: 'ada', item: 'mug', quantity });
    }
    expect(await shop.read('http_requests_total', 'status="500"')).toBe(2);
    expect(await shop.read('http_requests_total', 'status="201"')).toBe(2);
    await expect.poll(() => shop.lines.filter(({ level }) => level === 'error')).toHaveLength(2);
    const line = shop.lines.find(({ level }) => level === 'error');
    expect(line).toMatchObject({ msg: bug.logMessage, route: '/orders', status: 500, order: 'o-3' });
    expect(line?.at).toMatch(/^src\/prices\.js:\d+$/);
  });
});
