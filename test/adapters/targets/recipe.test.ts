import { describe, expect, it } from 'vitest';
import { chooseRecipe, dockerfileOf } from '#adapters/targets/recipe.ts';
import { readSource } from '#adapters/targets/source.ts';
import { code, tarOf } from '#test/contracts/target.ts';

const recipeFor = async (files: Readonly<Record<string, string>>) =>
  chooseRecipe(await readSource(await tarOf(files)));

/** The Dockerfile without its first lines, which are the same for all. */
const linesFor = async (files: Readonly<Record<string, string>>): Promise<string[]> => {
  const lines = dockerfileOf(await recipeFor(files), 'base')
    .trim()
    .split('\n');
  return lines.slice(lines.findIndex((line) => line.startsWith('ENV')) + 1, -4);
};

describe('Node', () => {
  const start = { start: 'node a.js' };
  const project = (given: object) => JSON.stringify({ scripts: start, ...given });

  it('installs nothing when there is nothing to install', async () => {
    expect(
      await linesFor({ 'package.json': project({ dependencies: {} }), 'package-lock.json': '{}' }),
    ).toEqual(['COPY . .']);
  });

  it('installs by the lock file before the source is copied', async () => {
    const files = { 'package.json': project({ dependencies: { a: '1' } }), 'package-lock.json': '{}' };
    expect(await linesFor(files)).toEqual([
      'COPY package.json package-lock.json ./',
      'RUN npm ci --omit=dev',
      'COPY . .',
    ]);
  });

  it('needs nothing for development unless it builds', async () => {
    const devDependencies = { typescript: '7' };
    const files = { 'package-lock.json': '{}' };
    expect(await linesFor({ ...files, 'package.json': project({ devDependencies }) })).toEqual(['COPY . .']);
    const scripts = { ...start, build: 'tsc' };
    expect(await linesFor({ ...files, 'package.json': project({ devDependencies, scripts }) })).toEqual([
      'COPY package.json package-lock.json ./',
      'RUN npm ci --include=dev',
      'COPY . .',
      'RUN npm run build',
    ]);
  });

  it.each([
    ['a script of its own', { scripts: { ...start, postinstall: 'node b.js' }, dependencies: { a: '1' } }],
    ['a dependency in a directory', { dependencies: { a: 'file:./a' } }],
    ['workspaces', { workspaces: ['packages/*'] }],
  ])('copies all before it installs when that may read more: %s', async (_, given) => {
    const lines = await linesFor({ 'package.json': project(given), 'package-lock.json': '{}' });
    expect(lines.slice(0, 2)).toEqual(['COPY . ./', 'RUN npm ci --omit=dev']);
  });

  it('says that a broken package.json is to be corrected', async () => {
    await expect(recipeFor({ 'package.json': '{' })).rejects.toEqual(code('no_recipe'));
  });

  it('is chosen over Python where both would do, and not where it has nothing to start', async () => {
    expect((await recipeFor({ 'package.json': project({}), 'main.py': '' })).kind).toBe('node');
    expect((await recipeFor({ 'package.json': '{}', 'main.py': '' })).kind).toBe('python');
  });

  it('names the main file whatever it is called', async () => {
    const { command } = await recipeFor({ 'package.json': JSON.stringify({ main: "it's $(me).js" }) });
    expect(command).toContain(`node 'it'\\''s $(me).js'`);
  });
});

describe('Python', () => {
  const pip = expect.stringContaining('/opt/venv/bin/pip install');

  it('installs nothing when nothing is required', async () => {
    const files = {
      'main.py': '',
      'requirements.txt': '\n# none\n',
      'pyproject.toml': 'dependencies = []\n',
    };
    expect(await linesFor(files)).toEqual(['COPY . .']);
  });

  it('installs what is required, in an environment of its own', async () => {
    const files = { 'app.py': '', 'requirements.txt': 'flask==3\n' };
    expect(await linesFor(files)).toEqual([
      'COPY requirements.txt ./',
      expect.stringMatching(/ -r requirements.txt$/),
      'COPY . .',
    ]);
    const more = { 'app.py': '', 'requirements.txt': '-r other.txt\n' };
    expect((await linesFor(more))[0]).toBe('COPY . ./');
  });

  it('installs what pyproject.toml depends on', async () => {
    const files = {
      'shop/__main__.py': '',
      'pyproject.toml': '[project]\ndependencies = [\n  "flask",\n]\n',
    };
    expect(await linesFor(files)).toEqual(['COPY . ./', pip, 'COPY . .']);
  });

  it('takes main.py before app.py before a package', async () => {
    const all = { 'main.py': '', 'app.py': '', 'shop/__main__.py': '' };
    expect((await recipeFor(all)).command).toMatch(/python3 main\.py$/);
    expect((await recipeFor({ 'app.py': '', 'shop/__main__.py': '' })).command).toMatch(/python3 app\.py$/);
    expect((await recipeFor({ './shop/__main__.py': '' })).command).toMatch(/python3 -m shop$/);
  });
});
