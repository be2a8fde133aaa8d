/** What somebody wrote, as far as it is for us. */
export interface Spoken {
  /** From the mention on, without it; then what stands before it. Without a mention: all of it. */
  text: string;
  mentioned: boolean;
}

/**
 * A line that starts with `@name` or `/name` addresses us, unless it is quoted or code. Comments in HTML, which GitHub
 * shows to nobody, are no part of what somebody said.
 */
export function spoken(body: string, name: string): Spoken {
  const lines = scan(body);
  const mention = new RegExp(`^ {0,3}[@/]${escapeRegExp(name)}(?:\\[bot\\])?(?![\\w/-])[ \\t]*[,:]?`, 'i');
  const at = lines.findIndex(({ text, code }) => !code && mention.test(text));
  const join = (from: number, to?: number) =>
    lines
      .slice(from, to)
      .map(({ text }, index) => (at >= 0 && from + index === at ? text.replace(mention, '') : text))
      .join('\n')
      .trim();
  if (at < 0) return { text: join(0), mentioned: false };
  const text = [join(at), join(0, at)].filter((part) => part !== '').join('\n\n');
  return { text, mentioned: true };
}

interface Line {
  text: string;
  /** In a fenced block, or one of its fences. */
  code: boolean;
}

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})/;

/** Lines without HTML comments. An unclosed comment hides the rest, as it does on GitHub. */
function scan(body: string): Line[] {
  const out: Line[] = [];
  let fence: string | undefined;
  let hidden = false;
  for (const line of body.replace(/\r\n?/g, '\n').split('\n')) {
    if (fence !== undefined) {
      out.push({ text: line, code: true });
      const closes = new RegExp(`^ {0,3}[${fence[0]}]{${fence.length},}[ \\t]*$`);
      if (closes.test(line)) fence = undefined;
      continue;
    }
    const wasHidden = hidden;
    const { text, open } = withoutComments(line, hidden);
    hidden = open;
    // A line that was nothing but a comment was never there.
    if (text.trim() === '' && (wasHidden || open || line.trim() !== '')) continue;
    fence = FENCE.exec(text)?.[1];
    out.push({ text, code: fence !== undefined });
  }
  return out;
}

function withoutComments(line: string, hidden: boolean): { text: string; open: boolean } {
  let text = '';
  let rest = line;
  let open = hidden;
  for (;;) {
    const mark = open ? '-->' : '<!--';
    const at = rest.indexOf(mark);
    if (!open) text += at < 0 ? rest : rest.slice(0, at);
    if (at < 0) return { text, open };
    rest = rest.slice(at + mark.length);
    open = !open;
  }
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
