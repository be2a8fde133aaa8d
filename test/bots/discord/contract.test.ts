import type { APIMessage } from 'discord-api-types/v10';
import { createDiscord } from '#bots/discord/discord.ts';
import { createLogger } from '#observability/log.ts';
import { type Said, surfaceContract } from '#test/contracts/surface.ts';
import { createDiscordPeer } from '#test/peers/discord.ts';

surfaceContract('Discord', async ({ receive, operators, images }) => {
  const peer = await createDiscordPeer();
  const surface = createDiscord({
    settings: {
      DISCORD_TOKEN: peer.token,
      DISCORD_APPLICATION_ID: peer.ids.application,
      DISCORD_OPERATOR_ROLES: operators ? peer.ids.operators : undefined,
      DISCORD_API_URL: peer.url,
      DISCORD_MESSAGE_CONTENT: 'true',
      DISCORD_UPDATE_MS: 0,
    },
    receive,
    images,
    log: createLogger('silent'),
  });
  await surface.start();
  const people = {
    operator: peer.person('Ada', [peer.ids.operators]),
    stranger: peer.person('Mallory'),
  };

  /** The message at the channel's root and what is in the thread on it. */
  const thread = (root: Said): APIMessage[] => [
    ...peer.messages(peer.ids.channel).filter((message) => message.id === root.id),
    ...(peer.channel(root.id) ? peer.messages(root.id) : []),
  ];
  const find = (root: Said, id: string): APIMessage => {
    const message = thread(root).find((candidate) => candidate.id === id);
    if (!message) throw new Error(`no message ${id}`);
    return message;
  };

  return {
    surface,
    buttons: true,
    async say({ text, mention = true, by = 'operator', deliver }) {
      const { id } = peer.say({
        in: peer.ids.channel,
        by: people[by],
        text,
        mention: mention ? 'bot' : undefined,
        deliver,
      });
      return { id, place: peer.ids.channel };
    },
    async sayInThread(root, { text, mention = true, by = 'operator', deliver }) {
      const place = peer.channel(root.id)?.id ?? peer.thread(peer.ids.channel, 'by hand', root.id);
      const { id } = peer.say({
        in: place,
        by: people[by],
        text,
        mention: mention ? 'bot' : undefined,
        deliver,
      });
      return { id, place };
    },
    async press(root, message, label, deliver) {
      peer.press({ on: find(root, message), by: people.operator, label, deliver });
    },
    messages: async (root) =>
      thread(root).map((message) => ({
        id: message.id,
        text: peer.text(message),
        byBot: message.author.id === peer.ids.bot,
        buttons: peer.buttons(message),
        // A mention that is shown but notifies nobody is one too many: people read it as being called.
        notifies: [...peer.mentions(message.id).shown, ...peer.mentions(message.id).notified],
        reactions: peer.reactions(message.id),
        pictures: peer.pictures(message),
      })),
    uploads: peer.uploads,
    breakUploads: () => peer.allowFiles(false),
    async remove(root, message) {
      peer.deleteMessage(find(root, message));
    },
    async [Symbol.asyncDispose]() {
      await surface[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
    },
  };
});
