// `node test/support/settings-table.ts [--write]`: the README's table of settings, from the settings themselves.
import { readFile, writeFile } from 'node:fs/promises';
import { env as surfaceEnv } from '#bots/index.ts';
import { type Setting, settingsOf } from '#core/config.ts';

const README = new URL('../../README.md', import.meta.url);
const BEGIN = '<!-- settings -->';
const END = '<!-- /settings -->';

/** Set nothing: what the schema makes of it. */
const defaultOf = ({ schema }: Setting): string => {
  const { data } = schema.safeParse(undefined);
  return data === undefined ? '' : `\`${data}\``;
};

/** Every setting a process reads, as a Markdown table. */
export function settingsTable(): string {
  const rows = Object.entries<Setting>(settingsOf(surfaceEnv)).map(
    ([name, setting]) =>
      `| \`${name}\`${setting.secret ? ' 🔒' : ''} | ${setting.help.replaceAll('|', '\\|')} | ${defaultOf(setting)} |`,
  );
  return ['| Setting | What it is | Default |', '|---|---|---|', ...rows].join('\n');
}

/** The README with the table as it is now. Throws where it has no place for it. */
export function withTable(readme: string): string {
  const [before, rest] = readme.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`README.md has no ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n${settingsTable()}\n${END}${after}`;
}

if (import.meta.main) {
  const readme = await readFile(README, 'utf8');
  const now = withTable(readme);
  if (process.argv.includes('--write')) await writeFile(README, now);
  else process.stdout.write(`${settingsTable()}\n`);
}
