import {
  type APIMessage,
  type REST,
  type RESTGetAPIChannelMessagesResult,
  Routes,
  SnowflakeUtil,
} from 'discord.js';
import { madeAt } from './address.ts';

/** How far back a start looks. What is older is no longer waited for. */
export const CATCH_UP_MS = 3_600_000;

/**
 * What was said in this channel since, oldest first. Discord hands nothing over that was sent while no gateway session
 * was open, so this is how a message sent during a restart is not lost; one already handled is claimed, and comes to
 * nothing.
 */
export async function* messagesSince(
  rest: REST,
  channel: string,
  lastMessage: string | null,
  since: number,
): AsyncGenerator<APIMessage> {
  if (lastMessage === null || madeAt(lastMessage) < since) return;
  const after = SnowflakeUtil.generate({ timestamp: since }).toString();
  const query = new URLSearchParams({ after, limit: '100' });
  const messages = await rest.get(Routes.channelMessages(channel), { query });
  yield* (messages as RESTGetAPIChannelMessagesResult).toReversed();
}
