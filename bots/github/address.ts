import { z } from 'zod';
import type { ConversationAddress, MessageRef } from '#core/conversations/surface.ts';

/** An issue or a pull request: GitHub numbers both in one row. */
const placeSchema = z.object({ owner: z.string(), repo: z.string(), number: z.number() });

/** What can be reacted to; only an `issue_comment` of ours is ever edited. */
const messageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('issue'), number: z.number() }),
  /** `check`: the check run that asks the same. */
  z.object({ kind: z.literal('issue_comment'), id: z.number(), check: z.number().optional() }),
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
): MessageRef => {
  const { kind, ...rest } = message;
  const at: MessageRef['at'] = { kind };
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) at[name] = value;
  return { conversation, at, url };
};
