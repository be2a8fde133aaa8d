import {
  type APIMessage,
  type APIMessageTopLevelComponent,
  ComponentType,
  DiscordAPIError,
  HTTPError,
  RESTJSONErrorCodes,
} from 'discord.js';
import type { Card } from '#core/conversations/card.ts';

/** Attachments of one message: https://docs.discord.com/developers/reference#uploading-files. */
const MOST = 10;

/** Ids of the card's pictures that a message has room for, each once. */
export const picturesOf = (card: Card): string[] =>
  [...new Set(card.blocks.flatMap((block) => (block.type === 'image' ? [block.id] : [])))].slice(0, MOST);

/** The name tells which picture a file is: it stays with the message. */
export const fileNameOf = (picture: string): string => `${picture.replace(/[^\w-]/g, '')}.png`;

/** By picture, the attachments that a message of ours has already. */
export function attachedTo(message: APIMessage): Map<string, string> {
  const found = new Map<string, string>();
  const note = (name: string, id: string) => {
    if (name.endsWith('.png')) found.set(name.slice(0, -'.png'.length), id);
  };
  for (const { filename, id } of message.attachments) note(filename, id);
  // What a component shows need not be among the attachments.
  for (const url of (message.components ?? []).flatMap(mediaOf)) {
    const [, id, name] = /\/attachments\/\d+\/(\d+)\/([^/?]+)/.exec(url) ?? [];
    if (id !== undefined && name !== undefined) note(name, id);
  }
  return found;
}

function mediaOf(component: APIMessageTopLevelComponent): string[] {
  if (component.type !== ComponentType.Container) return [];
  return component.components.flatMap((inner) =>
    inner.type === ComponentType.MediaGallery ? inner.items.map(({ media }) => media.url) : [],
  );
}

/** Whether a refusal may be about the files of a message: too large, or no permission to attach any. */
export const refusesFiles = (error: unknown): boolean =>
  error instanceof DiscordAPIError
    ? [
        RESTJSONErrorCodes.RequestEntityTooLarge,
        RESTJSONErrorCodes.MissingPermissions,
        RESTJSONErrorCodes.InvalidFormBodyOrContentType,
      ].some((code) => code === error.code)
    : error instanceof HTTPError && error.status === 413;
