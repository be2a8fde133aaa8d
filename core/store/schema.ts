import type { ColumnType, Generated } from 'kysely';
import type { ApprovalTables } from '../approvals/tables.ts';
import type { Card } from '../conversations/card.ts';
import type {
  ConversationAddress,
  Inbound,
  MessageRef,
  Person,
  Reaction,
  SurfaceName,
} from '../conversations/surface.ts';
import type { DeploymentTables } from '../deployments/tables.ts';
import type { MonitorTables } from '../incidents/monitor-tables.ts';
import type { IncidentTables } from '../incidents/tables.ts';
import type { Json, Nullable, NullableJson, NullableTime, Time } from './columns.ts';

/** A codebase. `forge_owner` and `forge_name` are null for one born in chat until it is first published. */
export interface ProjectTable {
  id: string;
  name: string;
  description: string;
  origin: 'created' | 'imported';
  forge_owner: Nullable<string>;
  forge_name: Nullable<string>;
  clone_url: Nullable<string>;
  html_url: Nullable<string>;
  default_branch: string;
  created_at: Time;
}

/** A thread on a surface. */
export interface ConversationTable {
  id: string;
  surface: SurfaceName;
  key: string;
  address: Json<ConversationAddress>;
  project_id: Nullable<string>;
  /** The run that text in this thread belongs to. */
  run_id: Nullable<string>;
  /** When a message of ours was last edited here: what the surface's pace counts from. */
  edited_at: NullableTime;
  /** The delivery that sends here now; another may take over when the lease has run out. */
  sender: Nullable<string>;
  sender_until: NullableTime;
  created_at: Time;
}

export type MessageOutcome = 'answered' | 'queued' | 'applied' | 'ignored' | 'refused';

/** The inbox: its primary key is the message's identity, so that whatever delivers a message again claims nothing. */
export interface MessageTable {
  id: string;
  conversation_id: string;
  inbound: Json<Inbound>;
  sent_at: Time;
  received_at: Time;
  outcome: Nullable<MessageOutcome>;
  outcome_detail: Nullable<string>;
  /** The turn it started, or steers. */
  turn_id: Nullable<string>;
  /** A steering message waits for the next step while this is null and `turn_id` is not. */
  applied_at: NullableTime;
}

/** One branch, one pull request, one memory; its turns are what people asked of it. */
export interface RunTable {
  id: string;
  project_id: string;
  title: string;
  branch: string;
  /** The commit its workspace starts at; null: the tip of a branch. */
  base_sha: Nullable<string>;
  sandbox_id: Nullable<string>;
  pull_request: Nullable<number>;
  pull_request_url: Nullable<string>;
  /** The commit last seen on the forge. */
  published_sha: Nullable<string>;
  created_at: Time;
}

export type TurnState = 'queued' | 'working' | 'done' | 'failed' | 'stopped' | 'undone';
export type TurnVerb = 'new' | 'import' | 'ask' | 'edit' | 'fix' | 'remediate' | 'undo' | 'undo-confirm';

export interface TurnTable {
  id: string;
  run_id: string;
  /** From 1 within the run. */
  seq: number;
  conversation_id: string;
  message_id: string;
  verb: TurnVerb;
  request: string;
  requested_by: Json<Person>;
  state: TurnState;
  /** Raised by every worker that takes the turn; a write with an older number is refused (fencing). */
  epoch: Generated<number>;
  stop_requested_at: NullableTime;
  stop_requested_by: Nullable<string>;
  /** A commit under refs/comio in the sandbox's repository: the workspace at the turn's start. */
  checkpoint: Nullable<string>;
  /** The workspace at the turn's end. */
  end_checkpoint: Nullable<string>;
  /** What went wrong, in words for people. */
  error: Nullable<string>;
  created_at: Time;
  started_at: NullableTime;
  ended_at: NullableTime;
}

export type StepKind = 'phase' | 'model' | 'tool' | 'steer' | 'nudge';
export type StepState = 'started' | 'done' | 'failed';

export interface StepTable {
  turn_id: string;
  /** From 1 within the turn. */
  seq: number;
  kind: StepKind;
  state: StepState;
  /** The card's line: present tense while it runs. */
  title: string;
  /** Past tense, once it ended. */
  summary: Nullable<string>;
  /** Model: nothing. Tool: `{ modelSeq, index, call }`. Steer and nudge: `{ text, messageId? }`. */
  input: Json<unknown>;
  /** Model: the completion. Tool: the result. */
  output: NullableJson<unknown>;
  /** A tool's write-ahead note. */
  intent: NullableJson<unknown>;
  started_at: Time;
  ended_at: NullableTime;
}

export type OutboxContent =
  | { type: 'card'; card: Card }
  | { type: 'reaction'; to: MessageRef; reaction: Reaction };

/** One message we want to exist, in its latest content. `version > sent_version` means there is something to send. */
export interface OutboxTable {
  id: Generated<number>;
  key: string;
  conversation_id: string;
  content: Json<OutboxContent>;
  /** Lower goes first: 0 final answers and questions, 1 reactions, 5 live cards. */
  priority: number;
  version: Generated<number>;
  sent_version: Generated<number>;
  /** `sending` is written before the call: found on a later claim, the earlier send may or may not have happened. */
  state: ColumnType<'pending' | 'sending' | 'sent' | 'dead', 'pending' | undefined, string>;
  ref: NullableJson<MessageRef>;
  attempts: Generated<number>;
  next_at: Time;
  error: Nullable<string>;
  created_at: Time;
  sent_at: NullableTime;
}

/** Pictures that cards show. */
export interface ImageTable {
  id: string;
  png: ColumnType<Uint8Array, Uint8Array, never>;
  created_at: Time;
}

/** Who did what, why, from where. Append-only. */
export interface AuditTable {
  id: Generated<number>;
  at: Time;
  actor: string;
  action: string;
  subject: string;
  detail: Json<Record<string, unknown>>;
}

export interface Schema extends DeploymentTables, ApprovalTables, IncidentTables, MonitorTables {
  project: ProjectTable;
  conversation: ConversationTable;
  message: MessageTable;
  run: RunTable;
  turn: TurnTable;
  step: StepTable;
  outbox: OutboxTable;
  image: ImageTable;
  audit: AuditTable;
}
