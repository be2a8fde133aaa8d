/** What Slack refuses a message for, after https://docs.slack.dev/reference/block-kit; own words where it has none. */

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** Problems of a message's blocks; empty when Slack takes them. */
export function blockProblems(blocks: unknown): string[] {
  if (!Array.isArray(blocks)) return ['blocks: must be an array'];
  const problems: string[] = [];
  const ids = new Set<unknown>();
  if (blocks.length > 50)
    problems.push(`no more than 50 items allowed [json-pointer:/blocks] (${blocks.length})`);
  blocks.forEach((block: unknown, index) => {
    const at = `/blocks/${index}`;
    if (!isObject(block)) {
      problems.push(`must be an object [json-pointer:${at}]`);
      return;
    }
    const id = block.block_id;
    if (id !== undefined && ids.has(id)) problems.push(`duplicate block_id [json-pointer:${at}]`);
    ids.add(id);
    const check = CHECKS[String(block.type)];
    if (check) problems.push(...check(block, at));
    else problems.push(`unsupported type: ${String(block.type)} [json-pointer:${at}/type]`);
  });
  return problems;
}

/** https://github.com/slackapi/bolt-js/issues/2509 */
export const isTooLong = (blocks: unknown): boolean => JSON.stringify(blocks).length > 13_100;

function textProblems(value: unknown, at: string, most: number, types = ['plain_text', 'mrkdwn']): string[] {
  if (!isObject(value)) return [`missing required field: text [json-pointer:${at}]`];
  const { type, text } = value;
  const problems: string[] = [];
  if (!types.includes(String(type))) problems.push(`must be ${types.join(' or ')} [json-pointer:${at}/type]`);
  if (typeof text !== 'string' || text.length === 0)
    problems.push(`must be more than 0 characters [json-pointer:${at}/text]`);
  else if (text.length > most)
    problems.push(`must be less than ${most + 1} characters [json-pointer:${at}/text]`);
  if (type === 'plain_text' && value.verbatim !== undefined)
    problems.push(`verbatim is for mrkdwn [json-pointer:${at}]`);
  return problems;
}

function buttonProblems(value: unknown, at: string): string[] {
  if (!isObject(value) || value.type !== 'button')
    return [`only buttons are known here [json-pointer:${at}]`];
  const problems = textProblems(value.text, `${at}/text`, 75, ['plain_text']);
  const limits: [string, number][] = [
    ['action_id', 255],
    ['value', 2000],
    ['url', 3000],
  ];
  for (const [name, most] of limits) {
    const field = value[name];
    if (field !== undefined && (typeof field !== 'string' || field.length === 0 || field.length > most))
      problems.push(`must be 1 to ${most} characters [json-pointer:${at}/${name}]`);
  }
  if (value.style !== undefined && !['primary', 'danger'].includes(String(value.style)))
    problems.push(`must be primary or danger [json-pointer:${at}/style]`);
  return problems;
}

const CHECKS: Record<string, (block: Json, at: string) => string[]> = {
  header: (block, at) => textProblems(block.text, `${at}/text`, 150, ['plain_text']),
  divider: () => [],
  image(block, at) {
    const { alt_text: alt, slack_file: file, image_url: url } = block;
    const problems: string[] = [];
    if (typeof alt !== 'string' || alt.length < 1 || alt.length > 2000)
      problems.push(`must be 1 to 2000 characters [json-pointer:${at}/alt_text]`);
    if ((file === undefined) === (url === undefined))
      problems.push(`either slack_file or image_url [json-pointer:${at}]`);
    return problems;
  },
  section(block, at) {
    const { text, fields } = block;
    if (text === undefined && fields === undefined) return [`needs text or fields [json-pointer:${at}]`];
    const problems = text === undefined ? [] : textProblems(text, `${at}/text`, 3000);
    if (fields !== undefined) {
      const all = list(fields);
      if (all.length < 1 || all.length > 10)
        problems.push(`1 to 10 items allowed [json-pointer:${at}/fields]`);
      problems.push(...all.flatMap((field, i) => textProblems(field, `${at}/fields/${i}`, 2000)));
    }
    return problems;
  },
  context(block, at) {
    const elements = list(block.elements);
    const problems = elements.flatMap((element, i) => textProblems(element, `${at}/elements/${i}`, 3000));
    if (elements.length < 1 || elements.length > 10)
      problems.push(`1 to 10 items allowed [json-pointer:${at}/elements]`);
    return problems;
  },
  actions(block, at) {
    const elements = list(block.elements);
    const problems = elements.flatMap((element, i) => buttonProblems(element, `${at}/elements/${i}`));
    if (elements.length < 1 || elements.length > 25)
      problems.push(`1 to 25 items allowed [json-pointer:${at}/elements]`);
    const ids = elements.map((element) => (isObject(element) ? element.action_id : undefined));
    if (new Set(ids).size < ids.length) problems.push(`duplicate action_id [json-pointer:${at}/elements]`);
    return problems;
  },
};

/** Every text of a message, wherever it is, with whether Slack looks for names in it by itself. */
export function textsOf(message: {
  text?: string | undefined;
  blocks?: unknown;
}): { text: string; autoLinked: boolean }[] {
  const out: { text: string; autoLinked: boolean }[] = [];
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) for (const one of value) walk(one);
    else if (isObject(value)) {
      const { type, text, verbatim } = value;
      if ((type === 'mrkdwn' || type === 'plain_text') && typeof text === 'string')
        out.push({ text, autoLinked: type === 'mrkdwn' && verbatim !== true });
      else for (const one of Object.values(value)) walk(one);
    }
  };
  walk(message.blocks);
  if (message.text !== undefined) out.push({ text: message.text, autoLinked: false });
  return out;
}

/** Whom Slack would notify, or what it would link, because of a message's text. */
export const notifiedBy = (message: { text?: string | undefined; blocks?: unknown }): string[] =>
  textsOf(message).flatMap(({ text, autoLinked }) => [
    ...(text.match(/<[@#!][^>]*>/g) ?? []),
    ...(autoLinked ? (text.match(/@(?:everyone|channel|here)\b|#\w+/g) ?? []) : []),
  ]);

/** The files of the image blocks, with what is said about them. */
export const imagesIn = (blocks: unknown): { file: string; alt: string }[] =>
  list(blocks).flatMap((block) =>
    isObject(block) && block.type === 'image' && isObject(block.slack_file)
      ? [{ file: String(block.slack_file.id), alt: String(block.alt_text) }]
      : [],
  );

/** What a person reads. */
export const readable = (message: { text?: string | undefined; blocks?: unknown }): string => {
  const shown =
    Array.isArray(message.blocks) && message.blocks.length > 0 ? { blocks: message.blocks } : message;
  return textsOf(shown)
    .map(({ text }) => text)
    .join('\n')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
};

export interface PeerButton {
  actionId: string;
  label: string;
  element: Json;
  blockId: string;
}

export const buttonsOf = (blocks: unknown): PeerButton[] =>
  list(blocks).flatMap((block, index) =>
    isObject(block) && block.type === 'actions'
      ? list(block.elements).flatMap((element) => {
          if (!isObject(element) || !isObject(element.text)) return [];
          return {
            actionId: String(element.action_id),
            label: String(element.text.text),
            element,
            blockId: String(block.block_id ?? `b${index}`),
          };
        })
      : [],
  );
