/** The one message model. Surfaces render it in their own idiom; nothing else knows a platform's format. */

/** GitHub-flavoured Markdown; renderers escape what the platform would act on (mentions, channels). */
export type Markdown = string;

export type Tone = 'neutral' | 'working' | 'success' | 'warning' | 'danger';

export interface PlanItem {
  text: string;
  state: 'pending' | 'running' | 'done' | 'failed';
  /** One short line under the item, plain text. */
  detail?: string | undefined;
}

export type Block =
  | { type: 'markdown'; text: Markdown }
  /** What a person said: plain text, shown as it was written. */
  | { type: 'quote'; text: string }
  | { type: 'fields'; fields: { label: string; value: Markdown }[] }
  | { type: 'plan'; items: PlanItem[] }
  | { type: 'code'; text: string; language?: string | undefined }
  /** A unified diff; past the platform's room it is shortened with a notice. */
  | { type: 'diff'; text: string }
  /** A picture kept under this id (see core/conversations/images.ts). */
  | { type: 'image'; id: string; alt: string }
  | { type: 'links'; links: { label: string; url: string }[] };

export interface Action {
  /** What the press means: `stop`, `undo-confirm`, … */
  id: string;
  label: string;
  style: 'default' | 'primary' | 'danger';
  /** Comes back with the press, ≤ 80 characters. */
  value: string;
}

/** The buttons of a question (see core/approvals): a surface may show them in a way of its own, too. */
export const APPROVAL_ACTIONS = { approve: 'approval-approve', reject: 'approval-reject' } as const;
/** What a person thinks of what the card says; their labels are 👍 and 👎. */
export const FEEDBACK_ACTIONS = { up: 'feedback-up', down: 'feedback-down' } as const;

export interface Card {
  title: string;
  tone: Tone;
  blocks: Block[];
  /** At most 5. Where a surface has no buttons it shows `command` hints instead. */
  actions: Action[];
  /** Small print. */
  footer?: string | undefined;
}

export const textCard = (title: string, tone: Tone, text?: Markdown): Card => ({
  title,
  tone,
  blocks: text ? [{ type: 'markdown', text }] : [],
  actions: [],
});
