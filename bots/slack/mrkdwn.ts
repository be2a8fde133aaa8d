/** Slack's mrkdwn out of GitHub-flavoured Markdown. https://docs.slack.dev/messaging/formatting-message-text */

/** A line of mrkdwn, or the raw text of a code block. */
export type Piece = { type: 'line'; text: string } | { type: 'code'; text: string };

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g;

/** Text without what would hide or turn it round. */
export const visible = (text: string): string => text.replace(INVISIBLE, '');

/** Text as it is: none of the three characters Slack gives a meaning, and nothing that hides or turns text round. */
export const literal = (text: string): string =>
  visible(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Text that may not begin a code block either. */
export const plain = (text: string): string => literal(text).replaceAll('```', '`\u200b``');

/** Cuts before it escapes, so that no entity is cut; `most` counts what Slack counts, the escaped characters. */
export function shorten(text: string, most: number): string {
  if (plain(text).length <= most) return plain(text);
  const kept: string[] = [];
  let length = 1;
  for (const character of text) {
    length += plain(character).length;
    if (length > most) break;
    kept.push(character);
  }
  while (plain(`${kept.join('')}…`).length > most) kept.pop();
  return plain(`${kept.join('').trimEnd()}…`);
}

/** A link; undefined when it leads where none should. */
export function link(url: string, label?: string): string | undefined {
  const parsed = URL.parse(url);
  if (!parsed || !['https:', 'http:', 'mailto:'].includes(parsed.protocol)) return undefined;
  const target = literal(parsed.href.replaceAll('|', '%7C').replaceAll('<', '%3C').replaceAll('>', '%3E'));
  if (target.length > MAX_URL) return undefined;
  const words = label === undefined ? '' : plain(label.replace(/\s+/g, ' ')).replaceAll('|', '¦').trim();
  return words === '' ? `<${target}>` : `<${target}|${words}>`;
}

const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+-]*)\s*$/;
const TABLE_ROW = /^\s*\|.*\|\s*$/;
const MAX_LINE = 2000;
const MAX_URL = 1500;

/** `maxLine`: characters of mrkdwn that one line may have; longer ones become several. */
export function pieces(markdown: string, maxLine = MAX_LINE): Piece[] {
  const out: Piece[] = [];
  let code: { mark: string; lines: string[] } | undefined;
  let table: string[] = [];
  const endTable = () => {
    if (table.length > 0) out.push({ type: 'code', text: table.join('\n') });
    table = [];
  };
  const shown = markdown.replace(/\r\n?/g, '\n').replace(/<!--[\s\S]*?-->/g, '');
  for (const line of shown.trim().split('\n')) {
    const mark = FENCE.exec(line);
    if (code) {
      if (mark?.[1]?.startsWith(code.mark) && mark[2] === '') {
        out.push({ type: 'code', text: code.lines.join('\n') });
        code = undefined;
      } else code.lines.push(line);
    } else if (mark?.[1]) {
      endTable();
      code = { mark: mark[1], lines: [] };
    } else if (TABLE_ROW.test(line)) {
      table.push(line.trim());
    } else {
      endTable();
      for (const part of parts(line, maxLine)) out.push({ type: 'line', text: prose(part) });
    }
  }
  endTable();
  if (code) out.push({ type: 'code', text: code.lines.join('\n') });
  return out;
}

/** One paragraph is one line in Markdown, and may be longer than any section: it is cut at a space. */
function parts(line: string, most: number): string[] {
  const out: string[] = [];
  let rest = line;
  while (rest.length > most || prose(rest).length > most) {
    let end = Math.min(rest.length - 1, most);
    while (prose(rest.slice(0, end)).length > most) end = Math.floor(end / 2);
    const space = rest.lastIndexOf(' ', end);
    const cut = space > end / 2 ? space : whole(rest, end);
    out.push(rest.slice(0, cut));
    rest = rest.slice(cut).trimStart();
  }
  return [...out, rest];
}

/** Not within a surrogate pair. */
const whole = (text: string, at: number): number =>
  /[\ud800-\udbff]/.test(text.charAt(at - 1)) && at > 1 ? at - 1 : at;

function prose(line: string): string {
  const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line);
  if (heading) return `*${inline(heading[1] ?? '').replaceAll('*', '')}*`;
  if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) return '───';
  const quote = /^\s*>\s?(.*)$/.exec(line);
  if (quote) return `> ${inline(quote[1] ?? '')}`;
  const item = /^(\s*)[-*+]\s+(?:\[([ xX])\]\s+)?(.*)$/.exec(line);
  if (item) {
    const [, indent = '', box, text = ''] = item;
    const bullet = box === undefined ? '•' : box === ' ' ? '☐' : '☑';
    return `${indent.replaceAll('\t', '    ')}${bullet} ${inline(text)}`;
  }
  return inline(line);
}

/** In this order: code first, since nothing has a meaning in it. */
const INLINE = new RegExp(
  [
    '(?<ticks>`+)(?<code>.+?)\\k<ticks>(?!`)',
    '!?\\[(?<label>[^\\]\\n]{0,300})\\]\\((?<url>[^)\\s]+)(?:\\s+"[^"]*")?\\)',
    '<(?<auto>https?://[^>\\s]+)>',
    '(?<bare>https?://[^\\s<>()\\[\\]`|]+[^\\s<>()\\[\\]`|.,;:!?\'"*_])',
    '\\*\\*\\*(?<both>[^\\s*](?:.*?[^\\s*])?)\\*\\*\\*',
    '(?:\\*\\*(?<bold>[^\\s*](?:.*?[^\\s])??)\\*\\*|__(?<bold2>[^\\s_](?:.*?[^\\s_])?)__)',
    '(?:\\*(?<it>[^\\s*](?:[^*]*?[^\\s*])?)\\*|(?<!\\w)_(?<it2>[^\\s_](?:[^_]*?[^\\s_])?)_(?!\\w))',
    '~~(?<strike>[^\\s~](?:.*?[^\\s~])?)~~',
    '\\\\(?<escaped>[\\\\`*_{}\\[\\]()#+.!|~>-])',
  ].join('|'),
  'gu',
);

function inline(text: string): string {
  let out = '';
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    out += plain(text.slice(end, match.index)) + styled(match[0], match.groups ?? {});
    end = match.index + match[0].length;
  }
  return out + plain(text.slice(end));
}

function styled(whole: string, groups: Record<string, string | undefined>): string {
  const { code, label, url, auto, bare, both, it, it2, strike, escaped } = groups;
  const bold = groups.bold ?? groups.bold2;
  const italic = it ?? it2;
  if (code !== undefined) return `\`${literal(code.trim() || ' ').replaceAll('`', 'ˋ')}\``;
  if (url !== undefined) return link(url, label) ?? plain(whole);
  if (auto !== undefined) return link(auto) ?? plain(whole);
  if (bare !== undefined) return link(bare) ?? plain(whole);
  if (both !== undefined) return `*_${inline(both)}_*`;
  if (bold !== undefined) return `*${inline(bold)}*`;
  if (italic !== undefined) return `_${inline(italic)}_`;
  if (strike !== undefined) return `~${inline(strike)}~`;
  return plain(escaped ?? whole);
}
