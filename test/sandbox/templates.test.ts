import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { chooseRecipe } from '#adapters/targets/recipe.ts';
import { listTemplates, loadTemplate, type Template } from '#sandbox/templates.ts';
import { createTempDir } from '#test/support/temp-dir.ts';
import { freePort } from '../support/free-port.ts';

const NAME = 'Crème brûlée & Recipes';
const names = (await listTemplates()).map(({ name }) => name);

/** Nothing of this process but where its Node and the system's programs are. */
const environment = {
  PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
  HOME: '/nonexistent',
  PYTHONDONTWRITEBYTECODE: '1',
};

async function write(directory: string, files: Template['files']) {
  for (const { path, content } of files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
}

async function run(command: string, cwd: string): Promise<{ code: number | string; output: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', command], { cwd, env: environment });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number | string; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}

/** What a deployment starts, and a change that the template's tests have to notice. */
const FACTS: Record<
  string,
  { start: [string, ...string[]]; break: [path: string, from: string, to: string]; passes: RegExp }
> = {
  'node-api': {
    start: ['node', 'src/main.ts'],
    break: ['src/items.ts', 'status: 201', 'status: 200'],
    passes: /pass 5\b/,
  },
  'python-api': {
    start: ['python3', '-m', 'app'],
    break: ['app/items.py', 'Response(201', 'Response(200'],
    passes: /Ran 5 tests/,
  },
  'static-site': {
    start: ['node', 'serve.js'],
    break: ['site/index.html', 'href="style.css"', 'href="stile.css"'],
    passes: /pass 7\b/,
  },
};

test('there are the templates these tests know', () => {
  expect(names).toEqual(Object.keys(FACTS));
});

describe.each(Object.entries(FACTS))('template %s', (name, { start, break: [path, from, to], passes }) => {
  test('has its own tests pass with nothing installed', async () => {
    await using directory = await createTempDir();
    const template = await loadTemplate(name, { projectName: NAME });
    await write(directory.path, template.files);
    const result = await run(template.testCommand, directory.path);
    expect(result, result.output).toMatchObject({ code: 0 });
    expect(result.output).toMatch(passes);
  });

  test('has tests that notice a mistake', async () => {
    await using directory = await createTempDir();
    const template = await loadTemplate(name, { projectName: NAME });
    await write(
      directory.path,
      template.files.map((file) =>
        file.path === path ? { path, content: file.content.replace(from, to) } : file,
      ),
    );
    const result = await run(template.testCommand, directory.path);
    expect(result.code, result.output).toBe(1);
  });

  test('starts as in its container, is healthy, and ends when told', async () => {
    await using directory = await createTempDir();
    const { files } = await loadTemplate(name, { projectName: NAME });
    await write(directory.path, files);
    const tree = {
      files: new Set(files.map(({ path }) => path)),
      texts: new Map(files.map(({ path, content }) => [path, content])),
    };
    expect(chooseRecipe(tree)).toMatchObject({
      command: expect.stringMatching(new RegExp(`; ${start.join(' ')}$`)),
      install: [],
    });
    const port = await freePort();
    const [program, ...args] = start;
    const env = { ...environment, PORT: String(port) };
    const child = spawn(program, args, { cwd: directory.path, env, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(child.stdout, 'data');
      const health = await fetch(`http://127.0.0.1:${port}/healthz`, { headers: { connection: 'close' } });
      expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
    } finally {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      expect(await exit).toEqual([0, null]);
    }
  });

  test('brings what a repository needs, under its own name', async () => {
    const { files, description } = await loadTemplate(name, { projectName: NAME });
    expect(description).not.toBe('');
    const paths = files.map((file) => file.path);
    expect(paths).toEqual(expect.arrayContaining(['README.md', '.gitignore']));
    expect(paths).toEqual([...paths].sort());
    expect(files.filter(({ content }) => content.includes('{{'))).toEqual([]);
    expect(files.find((file) => file.path === 'README.md')?.content).toMatch(/^# creme-brulee-recipes\n/);
  });
});

test('names are made fit for packages, pages and JSON', async () => {
  for (const [projectName, expected] of [
    ['"</title>\n', 'title'],
    ['レシピ', 'project'],
    ['-My_API 2-', 'my-api-2'],
  ] as const) {
    const { files } = await loadTemplate('node-api', { projectName });
    const manifest = files.find(({ path }) => path === 'package.json');
    expect(JSON.parse(manifest?.content ?? '')).toMatchObject({ name: expected });
  }
});

test('a template that does not exist is not found, wherever its name points', async () => {
  for (const name of ['rust-api', '../templates/node-api', '']) {
    await expect(loadTemplate(name, { projectName: 'a' })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('node-api, python-api, static-site'),
    });
  }
});
