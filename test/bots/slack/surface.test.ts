import type { Images } from '#core/conversations/images.ts';
import type { Receive } from '#core/conversations/surface.ts';
import { type Said, type SurfaceHarness, surfaceContract } from '#test/contracts/surface.ts';
import { createSlackPeer } from '#test/peers/slack.ts';
import { buttonsOf, notifiedBy, readable } from '#test/peers/slack-blocks.ts';
import { connectSlack } from './support.ts';

for (const way of ['http', 'socket'] as const) {
  surfaceContract(`Slack over ${way}`, (options) => connect(way, options));
}

async function connect(
  way: 'http' | 'socket',
  options: { receive: Receive; operators: boolean; images: Pick<Images, 'png'> },
): Promise<SurfaceHarness> {
  const peer = await createSlackPeer();
  const overrides = options.operators ? {} : { SLACK_OPERATORS: undefined };
  const connected = await connectSlack(peer, way, options.receive, overrides, options.images);
  const { surface } = connected;

  const say = async (
    what: { text: string; mention?: boolean; by?: string; deliver?: number },
    thread?: string,
  ) => {
    const id = await peer.say({
      user: what.by === 'stranger' ? 'bob' : 'ada',
      text: what.mention === false ? what.text : `@comio ${what.text}`,
      thread,
      copies: what.deliver ?? 1,
    });
    return { id, place: thread ?? id };
  };
  const placeOf = (said: Said): string => String(said.place);
  return {
    surface,
    buttons: true,
    say: (what) => say(what),
    sayInThread: (root, what) => say(what, placeOf(root)),
    press: (_, messageId, label, deliver = 1) =>
      peer.press({ ts: messageId, user: 'ada', actionId: label, copies: deliver }),
    async messages(root) {
      return (await peer.thread(placeOf(root))).map((message) => ({
        id: message.ts,
        text: readable(message),
        byBot: message.user === peer.ids.bot,
        buttons: buttonsOf(message.blocks).map(({ label }) => label),
        notifies: notifiedBy(message),
        reactions: message.reactions
          .filter(({ users }) => users.includes(peer.ids.bot))
          .map(({ name }) => name),
        pictures: peer.pictures(message),
      }));
    },
    remove: (_, messageId) => peer.remove(peer.ids.channel, messageId),
    uploads: peer.uploads,
    breakUploads: () => peer.fault({ method: 'files.getUploadURLExternal', times: 1000, status: 503 }),
    breakRoles() {
      for (const method of ['users.info', 'usergroups.users.list'])
        peer.fault({ method, times: 1000, status: 503 });
    },
    async [Symbol.asyncDispose]() {
      await peer.idle();
      await connected[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
    },
  };
}
