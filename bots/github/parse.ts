import type { EmitterWebhookEvent } from '@octokit/webhooks';
import { FEEDBACK_ACTIONS } from '#core/conversations/card.ts';
import type { Inbound, Person } from '#core/conversations/surface.ts';
import { conversationAt, messageRef } from './address.ts';
import { identityOf } from './check-runs.ts';
import { spoken } from './text.ts';

export const EVENTS = [
  'issues.opened',
  'issue_comment.created',
  'pull_request_review_comment.created',
  'pull_request_review.submitted',
  'check_run.requested_action',
] as const;
export type GitHubEvent = EmitterWebhookEvent<(typeof EVENTS)[number]>;

export interface ParseContext {
  /** What people call us, without @. */
  name: string;
  /** Dates a press, which carries no time. */
  now: Date;
}

/** On an issue it is for us without being named in the text. */
const LABEL = 'comio';

/**
 * A webhook's payload as something said, or undefined: nobody said it (a bot, ours too, or an account that is gone), or
 * nothing was said. It is named by what it is about, not by its delivery, so every redelivery is the same.
 */
export function parse(event: GitHubEvent, context: ParseContext): Inbound | undefined {
  const { payload } = event;
  if (payload.sender.type !== 'User') return undefined;
  switch (event.name) {
    case 'issues':
      return parseIssue(event.payload, context);
    case 'issue_comment':
      return parseComment(event.payload, context);
    case 'pull_request_review_comment':
      return parseReviewComment(event.payload, context);
    case 'pull_request_review':
      return parseReview(event.payload, context);
    case 'check_run':
      return parsePress(event.payload, event.id, context);
  }
}

type Payload<Name extends GitHubEvent['name']> = Extract<GitHubEvent, { name: Name }>['payload'];

function parseIssue(
  { issue, repository, sender }: Payload<'issues'>,
  { name }: ParseContext,
): Inbound | undefined {
  const author = person(issue.user);
  // One that was transferred here is opened by whoever did so, with what its author, or an editor, wrote elsewhere.
  if (!author || sender.id !== issue.user?.id) return undefined;
  const { text, mentioned } = spoken(issue.body ?? '', name);
  const isUs = (login: string | undefined) =>
    login !== undefined && [name, `${name}[bot]`].includes(login.toLowerCase());
  const named =
    (issue.labels ?? []).some((label) => label?.name?.toLowerCase() === LABEL) ||
    (issue.assignees ?? []).some((assignee) => isUs(assignee?.login));
  const conversation = conversationAt(repository.owner.login, repository.name, issue.number);
  // What somebody asks us comes first: it may be a command. The title then tells what it is about.
  const parts = mentioned ? [text, `Issue: ${issue.title}`] : [issue.title, text];
  return {
    id: `github:${repository.id}:issue:${issue.id}`,
    conversation,
    author,
    kind: 'message',
    text: parts.filter((part) => part !== '').join('\n\n'),
    addressed: mentioned || named,
    sentAt: new Date(issue.created_at).toISOString(),
    repository: { owner: repository.owner.login, name: repository.name, issue: issue.number },
    reactTo: messageRef(conversation, { kind: 'issue', number: issue.number }, issue.html_url),
  };
}

function parseComment(
  { comment, issue, repository }: Payload<'issue_comment'>,
  { name }: ParseContext,
): Inbound | undefined {
  const author = person(comment.user);
  const { text, mentioned } = spoken(comment.body, name);
  if (!author || (text === '' && !mentioned)) return undefined;
  const conversation = conversationAt(repository.owner.login, repository.name, issue.number);
  const here = issue.pull_request ? { pullRequest: issue.number } : { issue: issue.number };
  return {
    id: `github:${repository.id}:issue_comment:${comment.id}`,
    conversation,
    author,
    ...said(text, mentioned),
    addressed: mentioned,
    sentAt: new Date(comment.created_at).toISOString(),
    repository: { owner: repository.owner.login, name: repository.name, ...here },
    reactTo: messageRef(conversation, { kind: 'issue_comment', id: comment.id }, comment.html_url),
  };
}

/** What a card tells people to write for 👍 and 👎 is the press of a button that a comment cannot have. */
function said(text: string, mentioned: boolean): Pick<Inbound, 'kind' | 'text' | 'action'> {
  const { which, value } =
    /^feedback[ \t]+(?<which>up|down)[ \t]+(?<value>[\w:.-]{1,80})(?=\s|$)/i.exec(text)?.groups ?? {};
  if (!mentioned || which === undefined || value === undefined) return { kind: 'message', text };
  const id = which.toLowerCase() === 'up' ? FEEDBACK_ACTIONS.up : FEEDBACK_ACTIONS.down;
  return { kind: 'action', text: '', action: { id, value } };
}

function parseReviewComment(
  { comment, pull_request: pull, repository }: Payload<'pull_request_review_comment'>,
  { name }: ParseContext,
): Inbound | undefined {
  const author = person(comment.user);
  const { text, mentioned } = spoken(comment.body, name);
  if (!author || (text === '' && !mentioned)) return undefined;
  const conversation = conversationAt(repository.owner.login, repository.name, pull.number);
  return {
    id: `github:${repository.id}:review_comment:${comment.id}`,
    conversation,
    author,
    kind: 'message',
    text,
    addressed: mentioned,
    sentAt: new Date(comment.created_at).toISOString(),
    review: { path: comment.path, line: comment.line ?? undefined, diffHunk: comment.diff_hunk },
    repository: { owner: repository.owner.login, name: repository.name, pullRequest: pull.number },
    reactTo: messageRef(conversation, { kind: 'review_comment', id: comment.id }, comment.html_url),
  };
}

/** The text over a whole review; what it says to single lines comes as comments of their own. */
function parseReview(
  { review, pull_request: pull, repository }: Payload<'pull_request_review'>,
  { name }: ParseContext,
): Inbound | undefined {
  const author = person(review.user);
  const { text, mentioned } = spoken(review.body ?? '', name);
  if (!author || (text === '' && !mentioned)) return undefined;
  return {
    id: `github:${repository.id}:review:${review.id}`,
    conversation: conversationAt(repository.owner.login, repository.name, pull.number),
    author,
    kind: 'message',
    text,
    addressed: mentioned,
    sentAt: new Date(review.submitted_at ?? pull.updated_at).toISOString(),
    repository: { owner: repository.owner.login, name: repository.name, pullRequest: pull.number },
  };
}

/** A button of a check run of ours: GitHub tells only the App whose run it is. A redelivery has the same id. */
function parsePress(
  { check_run: check, requested_action: pressed, repository, sender }: Payload<'check_run'>,
  delivery: string,
  { now }: ParseContext,
): Inbound | undefined {
  const author = person(sender);
  const about = identityOf(check.external_id);
  if (!author || !about || pressed?.identifier === undefined) return undefined;
  return {
    id: `github:${repository.id}:check_run:${check.id}:${delivery}`,
    conversation: conversationAt(repository.owner.login, repository.name, about.number),
    author,
    kind: 'action',
    text: '',
    addressed: true,
    sentAt: now.toISOString(),
    action: { id: pressed.identifier, value: about.value },
    repository: { owner: repository.owner.login, name: repository.name, pullRequest: about.number },
  };
}

/** GitHub's logins name a person everywhere; what they may do is asked, not claimed. */
function person(user: { login: string; type?: string | undefined } | null | undefined): Person | undefined {
  if (user?.type !== 'User') return undefined;
  return { id: user.login, name: user.login, claims: [] };
}
