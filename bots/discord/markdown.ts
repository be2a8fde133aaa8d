import { escapeMarkdown } from 'discord.js';

/** Breaks everything Discord would turn into a mention or a command link; `allowed_mentions` keeps it from pinging. */
const disarm = (text: string): string =>
  text.replace(/@(?=everyone|here)/g, '@\u200b').replace(/<(?=[@#/:]|a:|t:|id:)/g, '<\u200b');

/** In characters: discord.js looks back over the whole line at every mark, 0.9 s for 20,000 characters half of them marks. */
const LONG = 1000;

/** Plain text, shown as it is. Addresses in it stay links unless it is long. */
export const plain = (text: string): string =>
  disarm(
    text.length > LONG
      ? text.replace(/[\\`*_~|[\]#>+-]|(?<=^\s*\d+)\./gm, '\\$&')
      : escapeMarkdown(text, {
          heading: true,
          bulletedList: true,
          numberedList: true,
          maskedLink: true,
        }),
  );

/** A fenced block that its content cannot end. */
export const fence = (text: string, language = ''): string =>
  `\`\`\`${/^[\w+-]*$/.test(language) ? language : ''}\n${text.replaceAll('```', '`\u200b``')}\n\`\`\``;

const FENCE = /^\s*(```+|~~~+)(.*)$/;
const TABLE_ROW = /^\s*\|.*\|\s*$/;

/**
 * GitHub-flavoured Markdown in what Discord shows: headings end at the third level, images become links, tables keep
 * their columns as code, HTML comments vanish. Code blocks stay as they are, and an open one is closed.
 */
export function discordMarkdown(text: string): string {
  const out: string[] = [];
  let table: string[] = [];
  let open: string | undefined;
  const endTable = () => {
    if (table.length > 0) out.push(fence(table.join('\n')));
    table = [];
  };
  for (const line of text.replace(/\r\n?/g, '\n').split('\n')) {
    const mark = FENCE.exec(line);
    if (open !== undefined) {
      const closes = mark?.[1]?.startsWith(open) === true && mark[2]?.trim() === '';
      // Discord knows no fence but three backticks.
      out.push(closes ? '```' : line.replaceAll('```', '`\u200b``'));
      if (closes) open = undefined;
      continue;
    }
    if (TABLE_ROW.test(line)) {
      table.push(line.trim());
      continue;
    }
    endTable();
    if (mark?.[1] !== undefined) {
      open = mark[1];
      const language = mark[2]?.trim() ?? '';
      out.push(`\`\`\`${/^[\w+-]*$/.test(language) ? language : ''}`);
    } else {
      out.push(prose(line));
    }
  }
  endTable();
  if (open !== undefined) out.push('```');
  return out.join('\n').trim();
}

const prose = (line: string): string =>
  disarm(
    line
      .replace(/<!--.*?-->/g, '')
      .replace(/^#{4,6}\s+(.*)$/, '**$1**')
      .replace(
        /!\[([^\]]*)\]\(([^)\s]+)[^)]*\)/g,
        (_, label: string, url: string) => `[${label || 'image'}](${url})`,
      ),
  );
