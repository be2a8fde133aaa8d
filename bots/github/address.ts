import { z } from 'zod';
import type { ConversationAddress, MessageRef } from '#core/conversations/surface.ts';

/** An issue or a pull request: GitHub numbers both in one row. */
const placeSchema = z.object({ owner: z.string(), repo: z.string(), number: z.number() });

/** What can be reacted to; only an `issue_comment` of ours is ever edited. */
const messageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('issue'), number: z.number() }),
  z.object({ kind: z.literal('issue_comment'), id: z.number() }),
  z.object({ kind: z.literal('review_comment'), id: z.number() }),
]);
export type GitHubMessage = z.output<typeof messageSchema>;

export const placeOf = (conversation: ConversationAddress) => placeSchema.parse(conversation.at);
export const messageOf = (ref: MessageRef): GitHubMessage => messageSchema.parse(ref.at);

export const conversationAt = (owner: string, repo: string, number: number): ConversationAddress => ({
  surface: 'github',
  key: `${owner}/${repo}#${number}`,
  at: { owner, repo, number },
});

export const messageRef = (
  conversation: ConversationAddress,
  message: GitHubMessage,
  url: string,
): MessageRef => ({ conversation, at: { ...message }, url });
