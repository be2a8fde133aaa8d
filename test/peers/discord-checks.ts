import * as spec from 'discord-api-spec/zod';
import { ComponentType, InteractionResponseType, MessageFlags } from 'discord-api-types/v10';
import { z } from 'zod';

/** A refusal as Discord words it: HTTP status, its own code, and what exactly. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: number;
  readonly errors: unknown;
  readonly retryAfter: number | undefined;
  constructor(status: number, code: number, message: string, errors?: unknown, retryAfter?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

const invalid = (errors: unknown) => new Refusal(400, 50035, 'Invalid Form Body', errors);

/** Everything a component of a message can hold, as far as the limits that OpenAPI cannot say reach. */
interface Component {
  type: number;
  id?: number | undefined;
  content?: string | undefined;
  custom_id?: string | undefined;
  url?: string | undefined;
  label?: string | undefined;
  components?: Component[] | undefined;
  items?: MediaItem[] | undefined;
}
export interface MediaItem {
  media: { url: string };
  description?: string | null | undefined;
}
const componentSchema: z.ZodType<Component> = z.lazy(() =>
  z.looseObject({
    type: z.number(),
    id: z.number().optional(),
    content: z.string().optional(),
    custom_id: z.string().optional(),
    url: z.string().optional(),
    label: z.string().optional(),
    components: z.array(componentSchema).optional(),
    items: z
      .array(
        z.looseObject({
          media: z.looseObject({ url: z.string() }),
          description: z.string().min(1).max(1024).optional(),
        }),
      )
      .min(1)
      .max(10)
      .optional(),
  }),
);
const messageSchema = z.looseObject({
  content: z.string().nullish(),
  embeds: z.array(z.unknown()).nullish(),
  flags: z.number().nullish(),
  nonce: z.union([z.string(), z.number()]).nullish(),
  enforce_nonce: z.boolean().nullish(),
  components: z.array(componentSchema).nullish(),
  attachments: z.array(z.looseObject({ id: z.string(), filename: z.string().optional() })).nullish(),
  allowed_mentions: z.looseObject({ parse: z.array(z.string()).optional() }).nullish(),
});
export type MessageBody = z.output<typeof messageSchema>;

function conform(schema: z.core.$ZodType, body: unknown): void {
  const result = z.core.safeParse(schema, body);
  if (!result.success) throw invalid(result.error.issues);
}

export const flatten = (components: Component[]): Component[] =>
  components.flatMap((component) => [component, ...flatten(component.components ?? [])]);

/** The body of a message to create or edit, checked against Discord's OpenAPI and its documented limits. */
export function checkMessage(body: unknown, how: 'create' | 'edit'): MessageBody {
  conform(how === 'create' ? spec.MessageCreateRequestSchema : spec.MessageEditRequestPartialSchema, body);
  const message = messageSchema.parse(body);
  const isV2 = ((message.flags ?? 0) & MessageFlags.IsComponentsV2) !== 0;
  if (isV2) checkComponentsV2(message);
  else if (how === 'create' && !message.content)
    throw new Refusal(400, 50006, 'Cannot send an empty message');
  else if ((message.content ?? '').length > 2000)
    throw invalid({ content: 'Must be 2000 or fewer in length.' });
  return message;
}

function checkComponentsV2(message: MessageBody): void {
  if (message.content || message.embeds?.length) {
    throw invalid({ flags: 'content and embeds cannot be used with IS_COMPONENTS_V2' });
  }
  const all = flatten(message.components ?? []);
  if (all.length === 0) throw new Refusal(400, 50006, 'Cannot send an empty message');
  if (all.length > 40) throw invalid({ components: `${all.length} components, at most 40` });
  const texts = all.filter((component) => component.type === ComponentType.TextDisplay);
  if (texts.some((text) => (text.content ?? '').trim() === ''))
    throw invalid({ content: 'This field is required' });
  const characters = texts.reduce((sum, text) => sum + (text.content ?? '').length, 0);
  if (characters > 4000) throw invalid({ components: `${characters} characters of text, at most 4000` });
  for (const field of ['id', 'custom_id'] as const) {
    const given = all.flatMap((component) => (component[field] ? [component[field]] : []));
    if (new Set(given).size < given.length)
      throw invalid({ components: `a ${field} twice: ${given.join(', ')}` });
  }
  for (const component of all) {
    if (component.type === ComponentType.ActionRow) {
      const buttons = component.components?.length ?? 0;
      if (buttons < 1 || buttons > 5) throw invalid({ components: `${buttons} buttons in a row` });
    }
    if (component.type === ComponentType.Button) {
      if ((component.custom_id === undefined) === (component.url === undefined)) {
        throw invalid({ components: 'a button has either a custom_id or a url' });
      }
      if (!component.label) throw invalid({ label: 'This field is required' });
    }
  }
}

/** What of a message Discord turns into mentions, and whom of them its `allowed_mentions` let it notify. */
export function mentionsIn(message: MessageBody): { shown: string[]; notified: string[] } {
  const texts = [message.content ?? '', ...flatten(message.components ?? []).map((c) => c.content ?? '')];
  // Inside code nothing is a mention.
  const prose = texts.map((text) => text.replace(/```[\s\S]*?```|`[^`\n]+`/g, ''));
  const shown = prose.flatMap((text) => text.match(/@everyone|@here|<(?:@[!&]?|#)\d+>/g) ?? []);
  const kind = (mention: string) =>
    mention.startsWith('<@&')
      ? 'roles'
      : mention.startsWith('<@')
        ? 'users'
        : mention.startsWith('@')
          ? 'everyone'
          : '';
  const allowed =
    message.allowed_mentions?.parse ?? (message.allowed_mentions ? [] : ['everyone', 'roles', 'users']);
  return { shown, notified: shown.filter((mention) => allowed.includes(kind(mention))) };
}

/**
 * Puts the addresses of files in place of `attachment://name`, as Discord does; `found` by name. Refuses a name that no
 * file has.
 */
export function resolveMedia(components: Component[], found: ReadonlyMap<string, string>): Component[] {
  return components.map((component) => ({
    ...component,
    ...(component.components ? { components: resolveMedia(component.components, found) } : {}),
    ...(component.items
      ? {
          items: component.items.map((item) => {
            const name = /^attachment:\/\/(.+)$/.exec(item.media.url)?.[1];
            const url = name === undefined ? item.media.url : found.get(name);
            if (url === undefined)
              throw invalid({ url: `The referenced attachment was not found: ${item.media.url}` });
            return { ...item, media: { ...item.media, url } };
          }),
        }
      : {}),
  }));
}

/** Gives every component without an id the next free number, as Discord does. */
export function numberComponents(components: Component[]): Component[] {
  const taken = new Set(flatten(components).map((component) => component.id));
  let next = 0;
  const free = (): number => {
    do next += 1;
    while (taken.has(next));
    return next;
  };
  const number = (component: Component): Component => {
    const id = component.id || free();
    return component.components
      ? { ...component, id, components: component.components.map(number) }
      : { ...component, id };
  };
  return components.map(number);
}

export function checkThread(body: unknown): { name: string } {
  conform(spec.CreateTextThreadWithMessageRequestSchema, body);
  return z.looseObject({ name: z.string() }).parse(body);
}

export function checkCommands(body: unknown): z.output<typeof commandsSchema> {
  conform(z.array(z.unknown()), body);
  for (const command of z.array(z.unknown()).parse(body)) {
    conform(spec.ApplicationCommandUpdateRequestSchema, command);
  }
  return commandsSchema.parse(body);
}

const commandsSchema = z.array(
  z.looseObject({
    name: z.string().regex(/^[-_\p{Ll}\p{N}]{1,32}$/u),
    description: z.string().min(1),
    options: z
      .array(
        z.looseObject({
          type: z.number(),
          name: z.string().regex(/^[-_\p{Ll}\p{N}]{1,32}$/u),
          options: z
            .array(z.looseObject({ type: z.number(), name: z.string(), required: z.boolean().optional() }))
            .optional(),
        }),
      )
      .optional(),
  }),
);
export type RegisteredCommand = z.output<typeof commandsSchema>[number];

const callbackSchema = z.looseObject({
  type: z.enum(InteractionResponseType),
  data: z.looseObject({ content: z.string().optional(), flags: z.number().optional() }).optional(),
});
export type InteractionAnswer = z.output<typeof callbackSchema>;

export function checkCallback(body: unknown): InteractionAnswer {
  const answer = callbackSchema.safeParse(body);
  if (!answer.success) throw invalid(answer.error.issues);
  const { type } = answer.data;
  const creates =
    type === InteractionResponseType.ChannelMessageWithSource ||
    type === InteractionResponseType.DeferredChannelMessageWithSource;
  conform(
    creates
      ? spec.CreateMessageInteractionCallbackRequestSchema
      : spec.UpdateMessageInteractionCallbackRequestSchema,
    body,
  );
  return answer.data;
}
