import { z } from 'zod';

/** What the peer reads of what the emulator answers. Everything else passes through as it is. */

export const userSchema = z.looseObject({ login: z.string(), type: z.string() });

export const repositorySchema = z.looseObject({
  id: z.number(),
  name: z.string(),
  full_name: z.string(),
  private: z.boolean(),
  default_branch: z.string(),
  owner: z.looseObject({ login: z.string() }),
});

export const commentSchema = z.looseObject({
  id: z.number(),
  body: z.string(),
  user: userSchema,
  html_url: z.string(),
});

export const pullSchema = z.looseObject({
  number: z.number(),
  title: z.string(),
  body: z.string().nullable(),
  state: z.enum(['open', 'closed']),
  merged: z.boolean().optional(),
  merged_at: z.string().nullable(),
  html_url: z.string(),
  user: userSchema,
  head: z.looseObject({ ref: z.string(), sha: z.string() }),
  base: z.looseObject({ ref: z.string(), sha: z.string() }),
});
export type WirePull = z.output<typeof pullSchema>;

export const issueSchema = z.looseObject({
  id: z.number(),
  number: z.number(),
  title: z.string(),
  user: userSchema,
});
export const reviewSchema = z.looseObject({ id: z.number() });

export const hookSchema = z.looseObject({
  action: z.string().optional(),
  repository: repositorySchema,
  sender: userSchema,
  issue: issueSchema.optional(),
  comment: commentSchema.extend({ path: z.string().nullish(), line: z.number().nullish() }).optional(),
  pull_request: pullSchema.optional(),
  review: reviewSchema.optional(),
});
export type WireHook = z.output<typeof hookSchema>;

/** What GitHub says: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api. */
export const refusal = (message: string, ...errors: string[]) => ({
  message,
  ...(errors.length > 0
    ? { errors: errors.map((error) => ({ resource: 'Peer', code: 'custom', message: error })) }
    : {}),
  documentation_url: 'https://docs.github.com/rest',
});
