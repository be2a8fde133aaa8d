import type { Card } from '../conversations/card.ts';
import type { Person, Role } from '../conversations/surface.ts';
import type { Json, Nullable, NullableJson, NullableTime, Time } from '../store/columns.ts';

export type ApprovalState = 'pending' | 'approved' | 'rejected' | 'expired' | 'withdrawn';

/** A question to people with a role. What is approved is what was shown: a digest binds the two. */
export interface ApprovalTable {
  id: string;
  /** What kind of thing happens when it is decided; whoever asked registers under this name. */
  subject: ApprovalSubject;
  subject_id: string;
  /** SHA-256 over everything that will happen; another digest is another question. */
  digest: string;
  /** The question as it was shown, without its buttons. */
  card: Json<Card>;
  conversation_id: string;
  required_role: Exclude<Role, 'none'>;
  requested_by: Json<Person>;
  /** The requester may not decide it. */
  four_eyes: boolean;
  state: ApprovalState;
  decided_by: NullableJson<Person>;
  /** Words that came with the decision. */
  reason: Nullable<string>;
  created_at: Time;
  expires_at: Time;
  decided_at: NullableTime;
}

export type ApprovalSubject = 'deployment' | 'remediation';

export interface ApprovalTables {
  approval: ApprovalTable;
}
