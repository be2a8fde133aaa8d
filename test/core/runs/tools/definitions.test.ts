import { describe, expect, it } from 'vitest';
import { parseToolInput, toolDefinitions } from '#core/runs/tools/definitions.ts';
import { tools } from '#core/runs/tools/index.ts';

describe('what the model is told', () => {
  const definitions = toolDefinitions(Object.values(tools));

  it.each(Object.entries(tools))(
    '%s is registered under its name, described, and has an object schema',
    (key, tool) => {
      expect(tool.name).toBe(key);
      const definition = definitions.find(({ name }) => name === key);
      expect(definition?.description.length).toBeGreaterThan(20);
      expect(definition?.inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
      expect(definition?.inputSchema).not.toHaveProperty('$schema');
    },
  );

  it('fields with a default are optional', () => {
    const edit = definitions.find(({ name }) => name === 'edit_file');
    expect(edit?.inputSchema).toMatchObject({
      required: ['path', 'old_string', 'new_string'],
      properties: { replace_all: { type: 'boolean', default: false } },
    });
  });

  it('names the templates', () => {
    const scaffold = definitions.find(({ name }) => name === 'scaffold_project');
    expect(scaffold?.inputSchema).toMatchObject({
      properties: { template: { enum: expect.arrayContaining(['node-api', 'python-api', 'static-site']) } },
    });
  });

  it('asking is free of effect', () => {
    const reading = Object.values(tools).filter(({ effect }) => effect === 'read');
    expect(reading.map(({ name }) => name).sort()).toEqual([
      'git_diff',
      'git_status',
      'list_directory',
      'read_file',
      'search_codebase',
    ]);
  });
});

describe('what the model sends', () => {
  it('is completed with defaults', () => {
    expect(parseToolInput(tools.read_file, { path: 'a.txt' })).toEqual({
      ok: true,
      input: { path: 'a.txt', offset: 1, limit: 1000 },
    });
  });

  it('is answered with each field that is wrong', () => {
    const parsed = parseToolInput(tools.edit_file, { file: 'a.txt', old_string: 3, new_string: 'b' });
    expect(parsed.ok).toBe(false);
    const { message } = parsed as { message: string };
    expect(message).toContain('edit_file');
    for (const field of ['path', 'old_string', '"file"']) expect(message).toContain(field);
    expect(message).not.toContain('new_string');
  });

  it.each(['{"path": ', '', null, [], 3])('%j is refused', (input) => {
    expect(parseToolInput(tools.read_file, input).ok).toBe(false);
  });

  it('a timeout above five minutes is refused', () => {
    expect(parseToolInput(tools.run_command, { command: 'true', timeout_seconds: 300 }).ok).toBe(true);
    expect(parseToolInput(tools.run_command, { command: 'true', timeout_seconds: 301 }).ok).toBe(false);
  });
});
