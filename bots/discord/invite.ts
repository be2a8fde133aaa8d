/**
 * What the bot needs in a channel to hold a conversation, and nothing that lets it manage a server: the bits of
 * Discord's permission flags. Written out, because this link is shown at every start and discord.js takes a third of a
 * second to load.
 */
const permissionBits = {
  AddReactions: 6n,
  ViewChannel: 10n,
  SendMessages: 11n,
  AttachFiles: 15n,
  ReadMessageHistory: 16n,
  CreatePublicThreads: 35n,
  SendMessagesInThreads: 38n,
};

/** The link with which the owner of a server adds the bot to it. */
export function inviteLink(applicationId: string): string {
  const permissions = Object.values(permissionBits).reduce((sum, bit) => sum | (1n << bit), 0n);
  const link = new URL('https://discord.com/oauth2/authorize');
  link.searchParams.set('client_id', applicationId);
  link.searchParams.set('scope', 'bot applications.commands');
  link.searchParams.set('permissions', permissions.toString());
  return link.href;
}
