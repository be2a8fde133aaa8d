import type { Hono } from 'hono';
import type { Card } from './card.ts';

export type SurfaceName = 'slack' | 'discord' | 'github';
export type Role = 'none' | 'viewer' | 'operator' | 'admin';

/** Where a conversation is. `key` is unique on its surface; `at` is the surface's own JSON, opaque to the core. */
export interface ConversationAddress {
  surface: SurfaceName;
  /** Slack `team/channel/thread_ts`, Discord `guild/thread`, GitHub `owner/repo#number`. */
  key: string;
  at: Record<string, string | number | boolean>;
  /**
   * True when there is no thread yet (a slash command at a channel's root): the first post makes it, and its
   * {@link MessageRef.conversation} is the address from then on. Such a key is unique to the command.
   */
  rootless?: boolean | undefined;
}

export interface Person {
  /** The surface's own user id (Slack `U…`, Discord snowflake, GitHub login). */
  id: string;
  name: string;
  /** What the payload itself proves about roles (Discord role ids). */
  claims: string[];
}

/** One thing a person said or pressed, as a surface understood it. */
export interface Inbound {
  /** Identity of the message (app, team, channel, ts; comment id; interaction id): claimed once, whatever delivers it. */
  id: string;
  conversation: ConversationAddress;
  author: Person;
  kind: 'message' | 'action';
  /** Without the mention or command prefix. For a GitHub issue: title and body. */
  text: string;
  /** Mention, slash command, direct message or button. Otherwise it counts only in a conversation we know. */
  addressed: boolean;
  /** A slash command's text: a first word that is no verb is more likely a misspelt one than talk. */
  explicit?: boolean | undefined;
  /** ISO 8601 by the platform's clock; order within a conversation. */
  sentAt: string;
  action?: { id: string; value: string } | undefined;
  /** Where on a pull request the person pointed. */
  review?: { path: string; line: number | undefined; diffHunk: string } | undefined;
  /** What the conversation's place already tells: the repository of an issue, the branch of a pull request. */
  repository?:
    | { owner: string; name: string; pullRequest?: number | undefined; issue?: number | undefined }
    | undefined;
  /** The message to react to; undefined where there is none (slash command). */
  reactTo?: MessageRef | undefined;
}

export interface MessageRef {
  conversation: ConversationAddress;
  /** The surface's own JSON. */
  at: Record<string, string | number>;
  url?: string | undefined;
}

/** `seen` at once, `done` or `failed` at the end. */
export type Reaction = 'seen' | 'done' | 'failed';

/**
 * The surface port. Calls throw {@link SurfaceError}. The outbox calls one surface's `post`/`update` for one
 * conversation one at a time and never more often than `pace` says.
 */
export interface Surface extends AsyncDisposable {
  readonly name: SurfaceName;
  readonly pace: {
    /** Least milliseconds between two edits in one conversation. */
    updateMs: number;
  };
  /** One line for the status page and the logs. */
  status(): { connected: boolean; detail: string };
  /** Webhook routes; called before the server listens. */
  mount(app: Hono): void;
  /** Connects what is not a webhook; resolves when messages can arrive. */
  start(): Promise<void>;
  /** `key` is put into the message invisibly, so that {@link find} can tell after a crash whether it was sent. */
  post(conversation: ConversationAddress, card: Card, key: string): Promise<MessageRef>;
  /** Our message with this key among the conversation's recent ones. Called only when a send may have been cut off. */
  find(conversation: ConversationAddress, key: string): Promise<MessageRef | undefined>;
  /** Replaces the message's content. Idempotent. */
  update(message: MessageRef, card: Card, key: string): Promise<void>;
  /** Idempotent. */
  react(message: MessageRef, reaction: Reaction): Promise<void>;
  /** The person's role by the surface's own rules (GitHub permission, Slack groups, Discord roles). Fails closed. */
  role(person: Person, conversation: ConversationAddress): Promise<{ role: Role; reason: string }>;
}

/** What a surface does with each thing it received, before it acknowledges. Resolves when it is safe in the database. */
export type Receive = (inbound: Inbound) => Promise<'claimed' | 'duplicate' | 'ignored'>;

export type SurfaceErrorCode = 'rate_limited' | 'gone' | 'forbidden' | 'invalid' | 'unavailable';

export class SurfaceError extends Error {
  override readonly name = 'SurfaceError';
  readonly code: SurfaceErrorCode;
  readonly retryAfterMs: number | undefined;
  constructor(
    code: SurfaceErrorCode,
    message: string,
    options?: ErrorOptions & { retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options?.retryAfterMs;
  }
}
