import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tools } from '#core/runs/tools/index.ts';
import { listTemplates } from '#sandbox/templates.ts';
import { createWorkbench, memoryDriver, type Workbench } from './harness.ts';

const templates = (await listTemplates()).map(({ name }) => name);
const driver = memoryDriver();
let bench: Workbench;
beforeEach(async () => {
  bench = await createWorkbench(driver);
});
afterEach(() => bench[Symbol.asyncDispose]());
afterAll(() => driver[Symbol.asyncDispose]());

const scaffold = (template: string) =>
  bench.call(tools.scaffold_project, { template, name: 'Cooking Recipes' });

describe('scaffold_project', () => {
  it.each(templates)('%s: its own tests pass in the sandbox, and are seen to', async (template) => {
    const result = await scaffold(template);
    expect(result).toMatchObject({ isError: false, facts: [{ type: 'scaffold', template }] });
    const command = /Its tests run with: (.*)$/.exec(result.content)?.[1];
    const tested = await bench.call(tools.run_command, { command });
    expect(tested.summary, tested.content).toMatch(/^Ran tests, \d+ passed/);
  });

  it('does not write into a workspace that has something in it', async () => {
    await bench.sh('mkdir src; echo mine > src/a.txt');
    const result = await scaffold('node-api');
    expect(result).toMatchObject({ isError: true, facts: [] });
    expect(result.content).toContain('src/a.txt');
    expect(await bench.sh('find . -path ./.git -prune -o -type f -print')).toBe('./src/a.txt');
  });

  it('does not overwrite a file of its own that was changed since', async () => {
    await scaffold('node-api');
    await bench.sh('echo changed >> package.json');
    const result = await scaffold('node-api');
    expect(result).toMatchObject({ isError: true });
    expect(result.content).toContain('package.json');
  });

  it('keeps a README that was there', async () => {
    await bench.sandbox.files.write('README.md', '# Ours\n');
    const result = await scaffold('static-site');
    expect(result).toMatchObject({ isError: false });
    expect(result.content).toContain('Kept as it was: README.md');
    expect(await bench.text('README.md')).toBe('# Ours\n');
  });
});
