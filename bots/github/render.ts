import { cut, fence, oneLine, plain, safeInline, safeMarkdown } from '#adapters/forge/github-markdown.ts';
import {
  type Action,
  APPROVAL_ACTIONS,
  type Block,
  type Card,
  FEEDBACK_ACTIONS,
  type PlanItem,
  type Tone,
} from '#core/conversations/card.ts';

/** GitHub's limit for a comment, in characters. */
export const MAX_COMMENT = 65_536;

const tones: Record<Tone, string> = {
  neutral: '',
  working: '⏳ ',
  success: '✅ ',
  warning: '⚠️ ',
  danger: '❌ ',
};
const boxes: Record<PlanItem['state'], string> = {
  pending: '- [ ] ',
  running: '- [ ] ⏳ ',
  done: '- [x] ',
  failed: '- [ ] ❌ ',
};

export interface RenderOptions {
  /** What people call us, without @. */
  name: string;
  /** Where a browser finds a picture; undefined: nowhere, and its alternative text is shown. */
  imageUrl: (id: string) => string | undefined;
}

/**
 * The card as a comment, its key in front where nobody sees it. What does not fit is shortened, with a notice. Actions
 * become what to write instead, since comments have no buttons.
 */
export function renderCard(card: Card, key: string, { name, imageUrl }: RenderOptions): string {
  const title = `### ${tones[card.tone]}${plain(cut(oneLine(card.title), 250)) || 'Comio'}`;
  const actions = card.actions.map((action) => hint(action, name)).join('\n');
  const footer = card.footer ? `<sub>${safeInline(cut(oneLine(card.footer), 500))}</sub>` : '';
  const frame = [markerOf(key), title, actions, footer];
  const taken = frame.reduce((sum, part) => sum + part.length + 2, 0);
  const blocks = shorten(card.blocks, imageUrl, MAX_COMMENT - taken - 2 * card.blocks.length);
  const [marker, ...ends] = [frame[0], ...frame.slice(2)];
  return [`${marker}\n${title}`, ...blocks, ...ends].filter((part) => part !== '').join('\n\n');
}

/** Whether this comment was rendered with this key. The text of a card cannot contain a comment. */
export const hasKey = (body: string, key: string): boolean => body.startsWith(markerOf(key));

/** A comment in HTML must not contain `--`. */
const markerOf = (key: string): string => `<!-- comio:${encodeURIComponent(key).replaceAll('-', '%2D')} -->`;

const hint = (action: Action, name: string): string =>
  `**${plain(cut(oneLine(action.label), 80))}**: write \`/${name} ${commandOf(action)}\``;

/** What says the same as the button, in the grammar of core/conversations/command.ts; feedback is read in parse.ts. */
function commandOf({ id, value }: Action): string {
  const safe = value.replace(/[^\w:.-]/g, '');
  switch (id) {
    case APPROVAL_ACTIONS.approve:
      return `approve ${safe.slice(0, 8)}`;
    case APPROVAL_ACTIONS.reject:
      return `reject ${safe.slice(0, 8)}`;
    case FEEDBACK_ACTIONS.up:
      return `feedback up ${safe}`;
    case FEEDBACK_ACTIONS.down:
      return `feedback down ${safe}`;
    default:
      return id.replaceAll('-', ' ').replace(/[^\w ]/g, '');
  }
}

/** Every block within `budget` characters in all: short blocks whole, the others share what is left. */
function shorten(blocks: readonly Block[], imageUrl: RenderOptions['imageUrl'], budget: number): string[] {
  const whole = blocks.map((block) => render(block, imageUrl, Number.POSITIVE_INFINITY));
  const shortestFirst = whole
    .map(({ length }, index) => ({ index, length }))
    .sort((a, b) => a.length - b.length);
  const share = new Map<number, number>();
  let left = budget;
  for (const [done, { index, length }] of shortestFirst.entries()) {
    const most = Math.min(length, Math.floor(left / (blocks.length - done)));
    share.set(index, most);
    left -= most;
  }
  return blocks
    .map((block, index) => {
      const [text, most] = [whole[index] ?? '', share.get(index) ?? 0];
      return text.length <= most ? text : render(block, imageUrl, most);
    })
    .filter((text) => text !== '');
}

function render(block: Block, imageUrl: RenderOptions['imageUrl'], most: number): string {
  switch (block.type) {
    case 'markdown':
      return fitted(block.text.split('\n'), most, (lines) => safeMarkdown(lines.join('\n')));
    case 'quote':
      return fitted([`> ${plain(block.text)}`], most);
    case 'fields':
      return fitted(
        block.fields.map(({ label, value }) => `- **${plain(label)}**: ${safeInline(value)}`),
        most,
      );
    case 'links':
      return fitted(block.links.map(link), most);
    case 'image':
      return fitted([block.alt], most, ([alt = '']) => image(alt, imageUrl(block.id)));
    case 'code':
      if (block.text === '') return '';
      return fitted(block.text.split('\n'), most, (lines) => fence(lines.join('\n'), block.language));
    case 'diff': {
      if (block.text === '') return '';
      const lines = block.text.split('\n');
      const open = `<details>\n<summary>${summary(lines)}</summary>\n\n`;
      const close = '\n\n</details>';
      return fitted(lines, most, (kept) => `${open}${fence(kept.join('\n'), 'diff')}${close}`);
    }
    case 'plan': {
      // The newest steps matter: the earliest are cut.
      const newestFirst = block.items.map(planLine).toReversed();
      return fitted(newestFirst, most, (kept) => kept.toReversed().join('\n'), 'earlier step');
    }
  }
}

const planLine = ({ state, text, detail }: PlanItem): string =>
  `${boxes[state]}${plain(text)}${detail ? ` — ${plain(detail)}` : ''}`;

/** GitHub's proxy fetches it once, and shows it from there. */
function image(alt: string, url: string | undefined): string {
  const text = plain(alt);
  return url === undefined ? text : `![${text || 'picture'}](<${url}>)`;
}

function link(to: { label: string; url: string }): string {
  const label = plain(to.label) || 'link';
  const url = URL.canParse(to.url) ? new URL(to.url) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) return `- ${label} ${plain(to.url)}`;
  const address = url.href.replace(/[<>()\s@]/g, (character) =>
    encodeURIComponent(character).replace(/[()]/, escapeParenthesis),
  );
  return `- [${label}](<${address}>)`;
}

const escapeParenthesis = (character: string): string => (character === '(' ? '%28' : '%29');

function summary(lines: readonly string[]): string {
  const count = (sign: string) =>
    lines.filter((line) => line.startsWith(sign) && !line.startsWith(sign.repeat(3))).length;
  return `Diff, +${count('+')} −${count('-')}`;
}

/** As many of the lines as fit, written by `write`, with a notice of how many were cut. */
function fitted(
  lines: readonly string[],
  most: number,
  write: (lines: readonly string[]) => string = (kept) => kept.join('\n'),
  what = 'more line',
): string {
  const whole = write(lines);
  if (whole.length <= most) return whole;
  const some = (kept: number) => `${write(lines.slice(0, kept))}\n\n${notice(lines.length - kept, what)}`;
  const kept = largest(lines.length - 1, (n) => some(n).length <= most);
  if (kept > 0) return some(kept);
  // Not even one line fits: a part of it.
  const [line = ''] = lines;
  const part = (length: number) =>
    `${write([cut(line, length)])}\n\n${notice(line.length - length, 'more character')}`;
  const length = largest(line.length - 1, (n) => part(n).length <= most);
  if (length > 0) return part(length);
  const rest = notice(lines.length, what);
  return rest.length <= most ? rest : '';
}

const notice = (n: number, what: string): string =>
  `_… ${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'} not shown_`;

/** The largest n up to `most` for which `fits`, which holds up to some n and not beyond; 0 when none does. */
function largest(most: number, fits: (n: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
