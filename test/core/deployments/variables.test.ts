import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { expect, it } from 'vitest';
import { BadVariables, readVariables, VARIABLES_FILE, variablesText } from '#core/deployments/variables.ts';

async function tarOf(files: Record<string, string>): Promise<Buffer> {
  const out = pack();
  const written = buffer(out);
  for (const [name, content] of Object.entries(files)) out.entry({ name }, content);
  out.finalize();
  return written;
}
const read = async (content: unknown) =>
  readVariables(
    await tarOf({
      'package.json': '{}',
      [VARIABLES_FILE]: typeof content === 'string' ? content : JSON.stringify(content),
    }),
  );

it('reads what a commit gives its app, for each environment its own', async () => {
  const env = { staging: { CHAOS: '1', GREETING: 'hello world' }, production: {} };
  expect(await read({ env })).toEqual(env);
  expect(await readVariables(await tarOf({ 'package.json': '{}' }))).toEqual({});
});

it.each([
  ['no JSON', '{', /is not JSON/],
  ['PORT', { env: { staging: { PORT: '80' } } }, /env\.staging\.PORT: PORT is given by Comio/],
  ['a strange name', { env: { staging: { 'A B': '1' } } }, /A B/],
  ['a number', { env: { staging: { CHAOS: 1 } } }, /env\.staging\.CHAOS: a value must be a text/],
  ['a long value', { env: { production: { A: 'x'.repeat(1025) } } }, /at most 1024/],
  ['a NUL', { env: { production: { A: 'a\0b' } } }, /NUL/],
  ['an unknown environment', { env: { prod: {} } }, /prod/],
  ['a slip', { environment: {} }, /environment/],
  [
    'too many',
    { env: { staging: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`A${i}`, ''])) } },
    /at most 50/,
  ],
  ['too much', `{"env":{}}${' '.repeat(70_000)}`, /larger than 64 KiB/],
])('refuses %s, and says why', async (_, content, why) => {
  const refused = read(content);
  await expect(refused).rejects.toThrow(BadVariables);
  await expect(refused).rejects.toThrow(why);
});

it('shows them, but for what is called like a secret', () => {
  expect(variablesText({})).toBeUndefined();
  expect(variablesText({ B: '2', A: 'a `b`\nc', API_KEY: 'hunter2' })).toBe(
    "`A=a 'b' c`, `API_KEY=…`, `B=2`",
  );
  const many = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`A${i}`, '']));
  expect(variablesText(many)).toContain('… and 2 more');
});
