import type { types, webApi } from '@slack/bolt';
import { z } from 'zod';
import type { Card } from '#core/conversations/card.ts';
import type { Images } from '#core/conversations/images.ts';
import type { Logger } from '#observability/log.ts';
import { toSurfaceError } from './errors.ts';

/** Slack's file of each picture, by the picture's id. */
export type SlackFiles = ReadonlyMap<string, string>;

export const NO_FILES: SlackFiles = new Map();
/** More are told in words: each costs three calls. */
const MOST = 4;
/** Files remembered; of the ones forgotten the messages themselves tell. */
const REMEMBERED = 1000;
const PREFIX = 'picture-';

/** The answers of the last of the three calls, of which the typings say nothing. */
const uploaded = z.object({ files: z.array(z.object({ files: z.array(z.object({ id: z.string() })) })) });

export const blockIdOf = (picture: string): string => `${PREFIX}${picture}`;

/** The pictures a message of ours shows: it tells after a restart what was uploaded for it. */
export function filesIn(blocks: readonly unknown[]): SlackFiles {
  const found = new Map<string, string>();
  for (const block of blocks as readonly Partial<types.ImageBlock>[]) {
    const file = block.type === 'image' && 'slack_file' in block ? block.slack_file : undefined;
    if (file && 'id' in file && typeof file.id === 'string' && block.block_id?.startsWith(PREFIX))
      found.set(block.block_id.slice(PREFIX.length), file.id);
  }
  return found;
}

export interface Pictures {
  /**
   * The files of a card's pictures; what Slack does not have yet is uploaded. `shown`: the files the message has
   * already. A picture that cannot be had is left out, since a message without it is better than none.
   */
  files(card: Card, shown?: () => Promise<SlackFiles>): Promise<SlackFiles>;
  /** Slack does not take these files; the next card that shows them uploads them again. */
  forget(files: SlackFiles): void;
}

/**
 * Pictures as files of the bot's that are shared nowhere: whoever reads the message sees them. A process that is killed
 * after an upload and before its message leaves a file that nobody sees, and uploads another; the message has one.
 */
export function createPictures(deps: {
  client: webApi.WebClient;
  images: Pick<Images, 'png'>;
  log: Logger;
}): Pictures {
  const { client, images, log } = deps;
  const known = new Map<string, string>();

  function remember(picture: string, file: string): void {
    known.delete(picture);
    known.set(picture, file);
    for (const oldest of known.keys()) {
      if (known.size <= REMEMBERED) break;
      known.delete(oldest);
    }
  }

  async function upload(picture: string, alt: string): Promise<void> {
    try {
      const png = await images.png(picture);
      if (!png) return;
      const answer = await client.files.uploadV2({
        file: Buffer.from(png),
        filename: `${picture}.png`,
        alt_text: alt.slice(0, 1000),
      });
      const [file] = uploaded.parse(answer).files.flatMap(({ files }) => files);
      if (file) remember(picture, file.id);
    } catch (error) {
      log.warn({ err: toSurfaceError(error, 'uploading a picture'), picture }, 'a picture is told in words');
    }
  }

  return {
    async files(card, shown) {
      const wanted = new Map<string, string>();
      for (const block of card.blocks)
        if (block.type === 'image' && wanted.size < MOST) wanted.set(block.id, block.alt);
      if (wanted.size === 0) return NO_FILES;
      const missing = () => [...wanted].filter(([picture]) => !known.has(picture));
      if (shown && missing().length > 0)
        for (const [picture, file] of await shown()) if (wanted.has(picture)) remember(picture, file);
      await Promise.all(missing().map(([picture, alt]) => upload(picture, alt)));
      return new Map(
        [...wanted.keys()].flatMap((picture): [string, string][] => {
          const file = known.get(picture);
          return file === undefined ? [] : [[picture, file]];
        }),
      );
    },
    forget(files) {
      for (const picture of files.keys()) known.delete(picture);
    },
  };
}
