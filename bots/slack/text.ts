const CODE = /(```[\s\S]*?```|`[^`\n]+`)/;

/**
 * What a person typed, out of what Slack made of it: no mention of us, links and mentions as text, entities decoded,
 * typographic quotes as the keyboard has them. Code stays as it is. https://docs.slack.dev/messaging/formatting-message-text
 */
export function plainText(text: string, userId: string): string {
  const us = new RegExp(`<@${userId}(\\|[^>]*)?>`, 'g');
  return text
    .replace(new RegExp(`^\\s*${us.source}[\\s:,]*`), '')
    .replace(new RegExp(` ?${us.source}`, 'g'), '')
    .split(CODE)
    .map((part, index) => (index % 2 === 1 ? decode(part) : decode(straight(part))))
    .join('')
    .trim();
}

/** Whether a message's text addresses us. */
export const mentions = (text: string, userId: string): boolean =>
  text.includes(`<@${userId}>`) || text.includes(`<@${userId}|`);

const straight = (text: string): string =>
  text
    .replace(/[\u201c\u201d\u201e]/g, '"')
    .replace(/[\u2018\u2019\u201a]/g, "'")
    .replaceAll('\u00a0', ' ');

const decode = (text: string): string =>
  text
    .replace(/<([^<>|]*)(?:\|([^<>]*))?>/g, (_, target: string, label: string | undefined) =>
      shown(target, label),
    )
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');

function shown(target: string, label: string | undefined): string {
  const name = target.slice(1);
  if (target.startsWith('@')) return `@${label ?? name}`;
  if (target.startsWith('#')) return `#${label ?? name}`;
  if (target.startsWith('!')) return label ?? `@${name.split('^')[0]}`;
  // Slack links what looks like an address and keeps what was typed as the label; a person may also give a link words.
  if (label === undefined) return target;
  return target === label || target.replace(/^(https?:\/\/|mailto:)/, '') === label
    ? label
    : `[${label}](${target})`;
}
