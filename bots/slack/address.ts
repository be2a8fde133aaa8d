import type { ConversationAddress, MessageRef } from '#core/conversations/surface.ts';
import { SurfaceError } from '#core/conversations/surface.ts';

/** Who we are in the workspace, from `auth.test`. */
export interface Self {
  team: string;
  userId: string;
  /** `https://<workspace>.slack.com/`. */
  url: string;
}

/** A Slack message is a channel and a timestamp; a thread is the timestamp of the message it hangs from. */
export const conversationAt = (team: string, channel: string, thread: string): ConversationAddress => ({
  surface: 'slack',
  key: `${team}/${channel}/${thread}`,
  at: { team, channel, thread },
});

/** A slash command says only in which channel; the first answer becomes the thread's root. */
export const channelRoot = (team: string, channel: string, command: string): ConversationAddress => ({
  surface: 'slack',
  key: `${team}/${channel}/command-${command}`,
  at: { team, channel },
  rootless: true,
});

export function placeOf({ key, at }: ConversationAddress): {
  team: string;
  channel: string;
  thread: string | undefined;
} {
  const { team, channel, thread } = at;
  if (typeof team !== 'string' || typeof channel !== 'string')
    throw new SurfaceError('invalid', `${key} is not a conversation on Slack`);
  return { team, channel, thread: typeof thread === 'string' ? thread : undefined };
}

export const messageAt = (conversation: ConversationAddress, channel: string, ts: string): MessageRef => ({
  conversation,
  at: { channel, ts },
});

export function messageOf({ at }: MessageRef): { channel: string; ts: string } {
  const { channel, ts } = at;
  if (typeof channel !== 'string' || typeof ts !== 'string')
    throw new SurfaceError('invalid', 'The reference is not to a message on Slack');
  return { channel, ts };
}

/** The message's permanent address, as Slack's own "Copy link" makes it. */
export function permalink(self: Self, channel: string, ts: string, thread: string): string {
  const url = new URL(`archives/${channel}/p${ts.replace('.', '')}`, self.url);
  if (thread !== ts) {
    url.searchParams.set('thread_ts', thread);
    url.searchParams.set('cid', channel);
  }
  return url.href;
}

/** `1355517523.000005` → `2012-12-14T20:38:43.000005Z`: six digits, as the order within a second is in them. */
export function timeOf(ts: string): string {
  const [seconds = '0', fraction = ''] = ts.split('.');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction.padEnd(6, '0').slice(0, 6)}Z`;
}
