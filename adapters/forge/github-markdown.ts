/*
 * Markdown that others wrote (models, logs, people elsewhere) made safe to show on GitHub: it notifies nobody, loads
 * nothing, hides nothing and cannot end what it stands in. Rules: https://github.github.com/gfm/.
 */

/** Invisible, and enough to keep the characters around it from meaning anything together. */
const GAP = '\u200b';

/** Any GitHub-flavoured Markdown. Fenced blocks move to the margin, where nothing before them can change them. */
export function safeMarkdown(text: string): string {
  const out: string[] = [];
  let prose: string[] = [];
  const endProse = () => {
    if (prose.length > 0) out.push(safeProse(prose));
    prose = [];
  };
  const lines = visible(text).split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const open = FENCE.exec(line);
    if (!open) {
      if (line.trim() === '') endProse();
      if (line.trim() === '') out.push('');
      else prose.push(line);
      continue;
    }
    endProse();
    const [, indent = '', mark = '', info = ''] = open;
    const closes = new RegExp(`^\\s*[${mark[0]}]{${mark.length},}\\s*$`);
    const end = lines.findIndex((candidate, index) => index > at && closes.test(candidate));
    const content = lines.slice(at + 1, end < 0 ? lines.length : end);
    const dedent = new RegExp(`^\\s{0,${indent.length}}`);
    out.push(fence(content.map((each) => each.replace(dedent, '')).join('\n'), info.trim()));
    at = end < 0 ? lines.length : end;
  }
  endProse();
  return out
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

/** The same on one line. */
export const safeInline = (text: string): string => safeProse([oneLine(visible(text))]);

/** Not Markdown at all: shown as it is written, on one line. */
export const plain = (text: string): string =>
  safeProse([oneLine(visible(text)).replace(/[\\`*_[\]<>|~]/g, '\\$&')]);

/** A code block that its content cannot end. */
export function fence(text: string, language = ''): string {
  const content = visible(text);
  let longest = 2;
  for (const [run] of content.matchAll(/`+/g)) longest = Math.max(longest, run.length);
  const mark = '`'.repeat(longest + 1);
  return `${mark}${/^[\w+#.-]{0,40}$/.test(language) ? language : ''}\n${content}\n${mark}`;
}

export const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** At most `most` UTF-16 units, the last an ellipsis where something was cut; never half of a surrogate pair. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  if (most < 1) return '';
  const end = /[\uD800-\uDBFF]/.test(text.charAt(most - 2)) ? most - 2 : most - 1;
  return `${text.slice(0, end)}…`;
}

const FENCE = /^([ \t]*)(`{3,}(?=[^`]*$)|~{3,})(.*)$/;

/** Without what cannot be seen: control characters and those that turn the direction of what follows. */
const visible = (text: string): string =>
  text
    .replace(/\r\n?/g, '\n')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '');

/** Lines without a blank one between them. */
function safeProse(lines: readonly string[]): string {
  const starts = lines.map((line) => line.replace(NESTED_FENCE, `$1${GAP}`));
  const parts = starts.map(splitCode);
  // Where a span of code begins depends on which lines GitHub takes together: sure only if each line is whole.
  const sure = parts.every((line) => line !== undefined);
  return starts
    .map((line, index) => {
      const split = sure ? parts[index] : undefined;
      if (!split) return disarm(line);
      return split.map((part) => (part.code ? part.text : disarm(part.text))).join('');
    })
    .join('\n');
}

/** A fence within a quote or right after a list's bullet. */
const NESTED_FENCE = /^((?:\s|>|[-*+]\s|\d+[.)]\s)*(?:>|[-*+]\s|\d+[.)]\s)\s*)(?=```|~~~)/;

interface Part {
  text: string;
  code: boolean;
}

/** What GitHub makes a link by itself goes on to the next space, backticks and all. */
const AUTOLINK = /(?:\/\/|www\.|mailto:|xmpp:|@)\S*$/i;

/** The line as text and spans of code; undefined when a span is left open, or a table or a link could cut into it. */
function splitCode(line: string): Part[] | undefined {
  const parts: Part[] = [];
  let from = 0;
  let at = 0;
  while (at < line.length) {
    if (line[at] === '\\') {
      at += 2;
      continue;
    }
    if (line[at] !== '`') {
      at += 1;
      continue;
    }
    const mark = /^`+/.exec(line.slice(at))?.[0] ?? '`';
    const end = closing(line, at + mark.length, mark.length);
    if (end === undefined || line.slice(at, end).includes('|')) return undefined;
    if (AUTOLINK.test(line.slice(from, at))) return undefined;
    parts.push({ text: line.slice(from, at), code: false }, { text: line.slice(at, end), code: true });
    from = end;
    at = end;
  }
  parts.push({ text: line.slice(from), code: false });
  return parts;
}

/** Where the next run of exactly `length` backticks ends. Within code a backslash means nothing. */
function closing(line: string, from: number, length: number): number | undefined {
  for (const run of line.slice(from).matchAll(/`+/g))
    if (run[0].length === length) return from + run.index + length;
  return undefined;
}

/**
 * The @ before a name; a whole e-mail address is none, but one that begins with `_` may be emphasis around a name. GitHub
 * looks for names after it has put characters in the place of references (`&#64;ada`, `@&#97;da`).
 */
const MENTION =
  /((?<![\w@.+-])[a-z\d](?:[\w.+-]*[a-z\d])?@[a-z\d][\w-]*(?:\.[\w-]+)+(?![\w@-]))|@(?=[a-z\d&])|&(?=#|commat;)/gi;

/**
 * Takes the meaning from tags, comments, images and mentions. What is put in changes nothing to the eye, whether
 * GitHub takes the place for text or for code.
 */
const disarm = (text: string): string =>
  text
    .replace(/https?:\/\/[^\s<>]+/gi, (url) => url.replaceAll('@', '%40'))
    .replace(/<(?=[a-z/!?])/gi, `<${GAP}`)
    .replace(/!+(?=\[)/g, '')
    .replace(MENTION, (at, mail?: string) => mail ?? `${at}${GAP}`);
