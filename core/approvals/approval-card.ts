import { type Action, APPROVAL_ACTIONS, type Block, type Card, type Tone } from '../conversations/card.ts';
import type { Person } from '../conversations/surface.ts';
import type { Approval } from './approvals.ts';
import type { ApprovalState } from './tables.ts';

const TONES: Readonly<Record<ApprovalState, Tone>> = {
  pending: 'warning',
  approved: 'success',
  rejected: 'danger',
  expired: 'neutral',
  withdrawn: 'neutral',
};
const WORDS: Readonly<Record<ApprovalState, string>> = {
  pending: 'Waits for approval',
  approved: 'Approved',
  rejected: 'Rejected',
  expired: 'Expired',
  withdrawn: 'Withdrawn',
};
const WHO: Readonly<Record<Approval['required_role'], string>> = {
  viewer: 'anyone here',
  operator: 'an operator',
  admin: 'an admin',
};

/** What people write to name a question. */
export const shortId = (id: string): string => id.slice(0, 8);

/** To the minute: people compare it with their own clock. */
export const at = (time: Date): string => `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** One line, and not a long one. */
export const titled = ({ title }: Pick<Card, 'title'>): string => shortened(title, 120);

export const nameOf = ({ name }: Person): string => shortened(name, 40);

/** "Approved by Ada, 2026-01-01 12:00 UTC". Plain text. */
export function outcome(approval: Approval): string {
  const by = approval.decided_by ? ` by ${nameOf(approval.decided_by)}` : '';
  return `${WORDS[approval.state]}${by}, ${at(approval.decided_at ?? approval.expires_at)}`;
}

/** Who may decide. */
export const deciders = ({ required_role, four_eyes, requested_by }: Approval): string =>
  `${WHO[required_role]}${four_eyes ? ` other than ${nameOf(requested_by)}` : ''}`;

/** The question as it stands: with buttons while it is open, with its outcome from then on. */
export function approvalCard(approval: Approval): Card {
  const { id, card, state } = approval;
  const names = `approval ${shortId(id)} · digest ${approval.digest.slice(0, 8)}`;
  const own = card.footer ? [card.footer] : [];
  if (state === 'pending') {
    const small = [names, `to decide: ${deciders(approval)}`, `until ${at(approval.expires_at)}`, ...own];
    return { ...card, actions: buttons(id), footer: small.join(' · ') };
  }
  const reason: Block[] = approval.reason ? [{ type: 'quote', text: approval.reason }] : [];
  return {
    title: `${WORDS[state]}: ${card.title}`,
    tone: TONES[state],
    blocks: [...card.blocks, ...reason],
    actions: [],
    footer: [outcome(approval), names, ...own].join(' · '),
  };
}

const buttons = (id: string): Action[] => [
  { id: APPROVAL_ACTIONS.approve, label: 'Approve', style: 'primary', value: id },
  { id: APPROVAL_ACTIONS.reject, label: 'Reject', style: 'danger', value: id },
];

function shortened(text: string, most: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}
