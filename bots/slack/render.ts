import type { types } from '@slack/bolt';
import type { Action, Block, Card, PlanItem, Tone } from '#core/conversations/card.ts';
import { link, type Piece, pieces, plain, shorten, visible } from './mrkdwn.ts';
import { blockIdOf, NO_FILES, type SlackFiles } from './pictures.ts';

/** https://docs.slack.dev/reference/block-kit: what Slack refuses a message for. */
export const LIMITS = {
  blocks: 50,
  section: 3000,
  header: 150,
  fields: 10,
  field: 2000,
  actions: 25,
  button: 75,
  value: 2000,
  actionId: 255,
  alt: 2000,
  /**
   * JSON characters of all blocks. Not documented: Slack answers `msg_blocks_too_long` from about 13,100 on
   * (https://github.com/slackapi/bolt-js/issues/2509).
   */
  message: 12_000,
};

const GLYPHS: Record<Tone, string> = {
  neutral: '',
  working: '⏳ ',
  success: '✅ ',
  warning: '⚠️ ',
  danger: '⛔ ',
};
const STATES: Record<PlanItem['state'], string> = { pending: '○', running: '⏳', done: '✅', failed: '❌' };

/** Past this a diff is read elsewhere. */
const DIFF_ROOM = 5000;
const PLAN_ITEMS = 25;
/** What a section costs beside its text. */
const SECTION_COST = 80;

export interface Rendered {
  /** For notifications and screen readers. */
  text: string;
  blocks: types.KnownBlock[];
}

/**
 * A card as Slack shows it. Whatever the card holds, Slack takes the message and notifies nobody because of it: text is
 * escaped, `verbatim` keeps Slack from reading @everyone and #channel into it, and what is too long is cut with a word
 * about what was cut. A picture without a file is told in words.
 */
export function renderCard(card: Card, files: SlackFiles = NO_FILES): Rendered {
  const title = shorten(`${GLYPHS[card.tone]}${oneLine(card.title)}`, LIMITS.header);
  const head: types.KnownBlock[] =
    title.trim() === '' ? [] : [{ type: 'header', text: { type: 'plain_text', text: title, emoji: true } }];
  const foot = [...buttons(card.actions), ...smallPrint(card.footer)];

  const body: types.KnownBlock[] = [];
  let room = LIMITS.message - cost([...head, ...foot]) - SECTION_COST * 2;
  let slots = LIMITS.blocks - head.length - foot.length - 1;
  const toShow = new Map(files);
  let left = 0;
  for (const block of card.blocks) {
    if (room < 4 * SECTION_COST || slots < 1) {
      left += 1;
      continue;
    }
    const rendered = renderBlock(block, room, toShow).slice(0, slots);
    body.push(...rendered);
    slots -= rendered.length;
    room -= cost(rendered);
  }
  if (left > 0)
    body.push(...smallPrint(`${left} more ${left === 1 ? 'part is' : 'parts are'} too long to show here.`));
  const blocks = [...head, ...body, ...foot];
  return {
    text: summary(card),
    blocks: blocks.length > 0 ? blocks : [section('Comio')],
  };
}

/** The action's id out of the `action_id`, which also has to be unique in its block. */
export const actionIdOf = (id: string): string => id.replace(/#\d+$/, '');

function renderBlock(block: Block, room: number, toShow: Map<string, string>): types.KnownBlock[] {
  switch (block.type) {
    case 'markdown':
      return sections(pieces(block.text), room, 'lines');
    case 'quote':
      return block.text.trim() === ''
        ? []
        : sections([{ type: 'line', text: `>${shorten(oneLine(block.text), 1000)}` }], room, 'lines');
    case 'image': {
      const id = toShow.get(block.id);
      // A block's id is unique in its message, so each picture is shown once.
      toShow.delete(block.id);
      const alt = short(oneLine(block.alt), LIMITS.alt) || 'picture';
      if (id !== undefined)
        return [{ type: 'image', block_id: blockIdOf(block.id), slack_file: { id }, alt_text: alt }];
      return sections([{ type: 'line', text: shorten(oneLine(block.alt), 1000) }], room, 'lines');
    }
    case 'code':
      return block.text.trim() === '' ? [] : sections([{ type: 'code', text: block.text }], room, 'lines');
    case 'diff':
      return block.text.trim() === ''
        ? []
        : sections([{ type: 'code', text: block.text }], Math.min(room, DIFF_ROOM), 'lines of the diff');
    case 'plan':
      return sections(plan(block.items), room, 'lines');
    case 'links': {
      const links = block.links.map(({ label, url }) => link(url, short(label, 100)) ?? shorten(label, 100));
      return sections(
        links.map((text) => ({ type: 'line', text })),
        room,
        'links',
      );
    }
    case 'fields':
      return fields(block.fields, room);
  }
}

function plan(items: readonly PlanItem[]): Piece[] {
  const hidden = Math.max(0, items.length - PLAN_ITEMS);
  const lines = items
    .slice(hidden)
    .flatMap(({ text, state, detail }) => [
      `${STATES[state]} ${shorten(oneLine(text), 200)}`,
      ...(detail ? [`      ${shorten(oneLine(detail), 200)}`] : []),
    ]);
  const earlier = hidden > 0 ? [`_${hidden} earlier ${hidden === 1 ? 'step' : 'steps'}_`] : [];
  return [...earlier, ...lines].map((text) => ({ type: 'line', text }));
}

function fields(all: readonly { label: string; value: string }[], room: number): types.KnownBlock[] {
  const out: types.SectionBlock[] = [];
  let spent = 0;
  let shown = 0;
  for (const { label, value } of all) {
    const name = `*${shorten(oneLine(label), 100)}*\n`;
    const text = pack(pieces(value, 400), LIMITS.field - name.length, 800, 'lines')[0] ?? '–';
    const object = mrkdwn(name + text);
    const price = cost([object]) + SECTION_COST;
    if (spent + price > room) break;
    spent += price;
    shown += 1;
    const last = out.at(-1)?.fields;
    if (last && last.length < LIMITS.fields) last.push(object);
    else out.push({ type: 'section', fields: [object] });
  }
  return shown < all.length ? [...out, ...smallPrint(`${all.length - shown} more not shown.`)] : out;
}

function buttons(actions: readonly Action[]): types.KnownBlock[] {
  if (actions.length === 0) return [];
  const elements = actions.slice(0, LIMITS.actions).map(({ id, label, style, value }, index) => ({
    type: 'button' as const,
    action_id: `${id.slice(0, LIMITS.actionId - 4)}#${index}`,
    text: { type: 'plain_text' as const, text: shorten(oneLine(label), LIMITS.button) || '–', emoji: true },
    ...(value === '' ? {} : { value: value.slice(0, LIMITS.value) }),
    ...(style === 'default' ? {} : { style }),
  }));
  return [{ type: 'actions', elements }];
}

const smallPrint = (text = ''): types.KnownBlock[] =>
  oneLine(text) === '' ? [] : [{ type: 'context', elements: [mrkdwn(shorten(oneLine(text), 600))] }];

const sections = (all: Piece[], room: number, what: string): types.KnownBlock[] =>
  pack(all, LIMITS.section, room, what).map(section);

/**
 * Pieces as texts of at most `most` characters each, as many as `room` (JSON characters, what the section itself costs
 * included) allows. A code block is fenced anew in each. The last one says how much did not fit.
 */
function pack(all: readonly Piece[], most: number, room: number, what: string): string[] {
  const lines = all.flatMap(({ type, text }) =>
    type === 'line' ? [{ code: false, text }] : codeLines(text).map((line) => ({ code: true, text: line })),
  );
  const out: string[] = [];
  let open: { code: boolean; text: string } | undefined;
  let spent = 0;
  // Room for the word about what was cut.
  const most1 = most - 60;
  const close = () => {
    if (open && open.text.trim() !== '') out.push(open.code ? `${open.text}\n\`\`\`` : open.text);
    open = undefined;
  };
  let index = 0;
  for (const line of lines) {
    const price = json(line.text) + 2 + (open ? 0 : SECTION_COST);
    if (spent + price > room - 2 * SECTION_COST) break;
    if (open && open.text.length + line.text.length + 5 > most1) close();
    if (open && open.code !== line.code) {
      const text: string = open.code ? `${open.text}\n\`\`\`` : open.text;
      open = { code: line.code, text: line.code ? `${text}\n\`\`\`\n${line.text}` : `${text}\n${line.text}` };
    } else if (open) open.text += `\n${line.text}`;
    else open = { code: line.code, text: line.code ? `\`\`\`\n${line.text}` : line.text };
    spent += price;
    index += 1;
  }
  close();
  if (index === lines.length) return out;
  const cut = `_… ${lines.length - index} more ${what} not shown_`;
  return out.length > 0 ? [...out.slice(0, -1), `${out.at(-1)}\n${cut}`] : [cut];
}

/** Escaped, no longer than fits a section, and unable to end their block. */
const codeLines = (text: string): string[] =>
  text
    .replace(/\r\n?/g, '\n')
    .replace(/\n+$/, '')
    .split('\n')
    .flatMap((line) => line.match(/[\s\S]{1,400}/gu) ?? [''])
    .map(plain);

/** The title and what is new, for notifications and screen readers: mrkdwn, like the blocks. */
function summary(card: Card): string {
  const title = shorten(oneLine(card.title), 200);
  for (const block of card.blocks) {
    const [line] =
      block.type === 'markdown'
        ? pieces(block.text).filter(({ type, text }) => type === 'line' && text !== '')
        : block.type === 'plan'
          ? plan(block.items.slice(-1))
          : [];
    if (line && line.text.length <= 400) return title === '' ? line.text : `${title}: ${line.text}`;
  }
  return title || 'Comio';
}

const mrkdwn = (text: string): types.MrkdwnElement => ({ type: 'mrkdwn', text, verbatim: true });
const section = (text: string): types.SectionBlock => ({ type: 'section', text: mrkdwn(text) });
const oneLine = (text: string): string => visible(text).replace(/\s+/g, ' ').trim();
const short = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most - 1)}…` : text;
const json = (value: unknown): number => JSON.stringify(value).length;
const cost = (blocks: readonly unknown[]): number =>
  blocks.reduce<number>((sum, block) => sum + json(block) + 1, 0);
