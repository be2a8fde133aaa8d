import { createHash } from 'node:crypto';
import {
  type APIComponentInContainer,
  type APIContainerComponent,
  type APIMediaGalleryComponent,
  type APIMessageTopLevelComponent,
  ButtonStyle,
  ComponentType,
  MessageFlags,
} from 'discord.js';
import type { Action, Block, Card, PlanItem, Tone } from '#core/conversations/card.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import { discordMarkdown, fence, plain } from './markdown.ts';
import { fileNameOf } from './pictures.ts';

/** Discord's limits for a message of components: characters in all its texts, components, and a custom_id's length. */
export const limits = { characters: 4000, components: 40, customId: 100, label: 80, alt: 1024 } as const;

const accents: Record<Tone, number> = {
  neutral: 0x6b7280,
  working: 0x3b82f6,
  success: 0x22a06b,
  warning: 0xd97706,
  danger: 0xdc2626,
};
const styles: Record<Action['style'], ButtonStyle.Secondary | ButtonStyle.Primary | ButtonStyle.Danger> = {
  default: ButtonStyle.Secondary,
  primary: ButtonStyle.Primary,
  danger: ButtonStyle.Danger,
};
const marks: Record<PlanItem['state'], string> = { pending: '▫️', running: '⏳', done: '✅', failed: '❌' };

/** What a created and an edited message have in common. */
export interface RenderedMessage {
  flags: MessageFlags.IsComponentsV2;
  components: [APIContainerComponent];
  allowed_mentions: { parse: [] };
}

/**
 * One container of text and a row of buttons. What does not fit is shortened, with a notice of how much was cut. The
 * key's hash is in the `id`s of the container and of its first component: Discord returns them and shows them to
 * nobody. `pictures` are those that are attached; the others are told in words. Throws SurfaceError `invalid` for actions no button can carry.
 */
export function renderCard(
  card: Card,
  key: string,
  pictures: ReadonlySet<string> = new Set(),
): RenderedMessage {
  const title = `### ${plain(cut(oneLine(card.title), 200)) || '…'}`;
  const footer = card.footer ? `-# ${plain(cut(oneLine(card.footer), 200))}` : undefined;
  const labels = card.actions.map((action) => cut(oneLine(action.label), limits.label) || '…');
  const taken = [title, footer ?? '', ...labels].reduce((sum, text) => sum + text.length, 0);
  // Two for each block: the blank line between blocks that share a component.
  const texts = shorten(card.blocks, limits.characters - taken - 2 * card.blocks.length);
  const parts = card.blocks.flatMap((block, index): Part[] => {
    const text = texts[index] ?? '';
    const picture = block.type === 'image' && pictures.has(block.id) ? block : undefined;
    return text.trim() === '' && !picture ? [] : [{ text, picture }];
  });

  const [containerId, titleId] = keyIds(key);
  // Beside the blocks: the container, title, footer, row and five buttons.
  const room = limits.components - 9;
  const own = parts.length <= room ? parts : parts.slice(0, room - 1);
  const rest = parts
    .slice(own.length)
    .map(({ text }) => text)
    .filter((text) => text.trim() !== '')
    .join('\n\n');
  const components: APIComponentInContainer[] = [
    { type: ComponentType.TextDisplay, id: titleId, content: clean(title) },
    ...own.map(({ text, picture }) =>
      picture ? gallery(picture) : { type: ComponentType.TextDisplay as const, content: clean(text) },
    ),
    ...(rest === '' ? [] : [{ type: ComponentType.TextDisplay as const, content: clean(rest) }]),
  ];
  if (card.actions.length > 0) {
    components.push({
      type: ComponentType.ActionRow,
      components: card.actions.map((action, index) => ({
        type: ComponentType.Button,
        style: styles[action.style],
        label: clean(labels[index] ?? '…'),
        custom_id: customId(action),
      })),
    });
  }
  if (footer !== undefined) {
    components.push({ type: ComponentType.TextDisplay, content: clean(footer) });
  }
  return {
    flags: MessageFlags.IsComponentsV2,
    components: [
      { type: ComponentType.Container, id: containerId, accent_color: accents[card.tone], components },
    ],
    allowed_mentions: { parse: [] },
  };
}

/** Whether this message carries the key {@link renderCard} was given. */
export function hasKey(components: APIMessageTopLevelComponent[] | undefined, key: string): boolean {
  const [container] = components ?? [];
  if (container?.type !== ComponentType.Container) return false;
  const [containerId, titleId] = keyIds(key);
  return container.id === containerId && container.components[0]?.id === titleId;
}

/** For `enforce_nonce`: Discord answers a second creation with the first message, for some minutes. */
export const nonceOf = (key: string): string =>
  createHash('sha256').update(key).digest('base64url').slice(0, 25);

/** Two positive 32-bit numbers, above those Discord counts out itself. 60 bits tell 50 messages apart. */
function keyIds(key: string): [number, number] {
  const hash = createHash('sha256').update(key).digest();
  const id = (at: number) => (hash.readUInt32BE(at) & 0x3fff_ffff) + 0x4000_0000;
  const [container, title] = [id(0), id(4)];
  return [container, title === container ? title - 1 : title];
}

function customId(action: Action): string {
  const id = `${action.id}:${action.value}`;
  if (id.length > limits.customId) {
    throw new SurfaceError(
      'invalid',
      `The action ${action.id} is too long for a Discord button: ${id.length} characters`,
    );
  }
  return id;
}

interface Part {
  text: string;
  picture: Extract<Block, { type: 'image' }> | undefined;
}

function gallery({ id, alt }: Extract<Block, { type: 'image' }>): APIMediaGalleryComponent {
  const description = clean(cut(oneLine(alt), limits.alt));
  return {
    type: ComponentType.MediaGallery,
    items: [
      {
        media: { url: `attachment://${fileNameOf(id)}` },
        ...(description.trim() === '' ? {} : { description }),
      },
    ],
  };
}

/** Every block's text within `budget` characters in all: short blocks whole, the others share what is left. */
function shorten(blocks: Block[], budget: number): string[] {
  const whole = blocks.map((block) => render(block, Number.POSITIVE_INFINITY));
  let left = budget;
  const share = new Map<number, number>();
  const byLength = whole.map((text, index) => ({ index, length: text.length }));
  byLength.sort((a, b) => a.length - b.length);
  for (const [done, { index, length }] of byLength.entries()) {
    const most = Math.floor(left / (byLength.length - done));
    share.set(index, Math.min(length, most));
    left -= Math.min(length, most);
  }
  return blocks.map((block, index) => {
    const [text, most] = [whole[index] ?? '', share.get(index) ?? 0];
    return text.length <= most ? text : render(block, most);
  });
}

/** One block in at most `most` characters. */
function render(block: Block, most: number): string {
  switch (block.type) {
    case 'markdown':
      return fitted(block.text.split('\n'), most, (lines) => discordMarkdown(lines.join('\n')));
    case 'quote':
      return fitted([`> ${plain(oneLine(block.text))}`], most);
    case 'fields':
      return fitted(
        block.fields.map((field) => `**${plain(oneLine(field.label))}** ${discordMarkdown(field.value)}`),
        most,
      );
    case 'links':
      return fitted(block.links.map(link), most);
    case 'image':
      return fitted([plain(oneLine(block.alt))], most);
    case 'code':
      return fitted(block.text.split('\n'), most, (lines) => fence(lines.join('\n'), block.language));
    case 'diff':
      return fitted(block.text.split('\n'), most, (lines) => fence(lines.join('\n'), 'diff'));
    case 'plan': {
      // The newest steps matter: the earliest are cut.
      const newestFirst = block.items.map(planLine).toReversed();
      return fitted(
        newestFirst,
        most,
        (kept) => kept.toReversed().join('\n'),
        (left) => `-# ${count(left, 'earlier step')} not shown`,
      );
    }
  }
}

const planLine = (item: PlanItem): string =>
  `${marks[item.state]} ${plain(oneLine(item.text))}${item.detail ? `\n-# ${plain(oneLine(item.detail))}` : ''}`;

function link(to: { label: string; url: string }): string {
  const label = plain(oneLine(to.label)).replace(/[[\]]/g, '');
  const safe = URL.canParse(to.url) && /^https?:$/.test(new URL(to.url).protocol);
  return safe
    ? `[${label || 'link'}](<${new URL(to.url).href.replaceAll('>', '%3E')}>)`
    : `${label} ${plain(to.url)}`;
}

/** As many of the lines as fit, written by `write`, with a notice of how many were cut. */
function fitted(
  lines: string[],
  most: number,
  write: (lines: string[]) => string = (kept) => kept.join('\n'),
  notice: (left: number) => string = (left) => `-# … ${count(left, 'more line')} not shown`,
): string {
  const whole = write(lines);
  if (whole.length <= most) return whole;
  const some = (kept: number) => `${write(lines.slice(0, kept))}\n${notice(lines.length - kept)}`;
  const kept = largest(lines.length - 1, (n) => some(n).length <= most);
  if (kept > 0) return some(kept);
  // Not even one line fits: a part of it.
  const [line = ''] = lines;
  const part = (length: number) =>
    `${write([cut(line, length)])}\n-# … ${count(line.length - length, 'more character')} not shown`;
  const length = largest(line.length - 1, (n) => part(n).length <= most);
  if (length > 0) return part(length);
  return notice(lines.length).length <= most ? notice(lines.length) : '';
}

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

const count = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

/** Without what JSON or Discord chokes on: control characters and halves of surrogate pairs. */
const clean = (text: string): string =>
  text
    .replace(/\r\n?/g, '\n')
    .replace(/[^\P{Cc}\n\t]/gu, '\ufffd')
    .toWellFormed();

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** At most `most` characters, the last an ellipsis where something was cut; never half of a surrogate pair. */
function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  if (most < 1) return '';
  const end = /[\uD800-\uDBFF]/.test(text.charAt(most - 2)) ? most - 2 : most - 1;
  return `${text.slice(0, end)}…`;
}
