import type { ColumnType, Generated } from 'kysely';
import type { Person } from '../conversations/surface.ts';
import type { Proposal } from '../runs/tools/tool.ts';
import type { Json, Nullable, NullableJson, NullableTime, Time } from '../store/columns.ts';

export type IncidentState =
  | 'open'
  | 'diagnosing'
  | 'diagnosed'
  | 'fixing'
  /** A fix waits for people, for its merge or its deployment. */
  | 'waiting'
  | 'watching'
  | 'resolved'
  | 'unresolved';

/** What people see: alerts and findings about one environment in one stretch of time. */
export interface IncidentTable {
  id: string;
  project_id: string;
  environment_id: Nullable<string>;
  /** Of what opened it; while it is open, a second of the same joins it. */
  fingerprint: string;
  title: string;
  severity: 'info' | 'warning' | 'critical';
  state: IncidentState;
  /** Raised by every worker that takes it; a write with an older number is refused. */
  epoch: Generated<number>;
  /** Where its card is: a conversation of the project. */
  conversation_id: string;
  /** When what went wrong began, by the signal that began first. */
  began_at: Time;
  opened_at: Time;
  /** When its evidence was complete; from then on it is not gathered again. */
  gathered_at: NullableTime;
  /** Sources that could not be read, in words for people. */
  notes: ColumnType<string[], string | undefined, string>;
  /** Why there is no diagnosis, in words for people. */
  problem: Nullable<string>;
  /** Since when none of its signals is going, by this service's clock; null: one is. */
  quiet_since: NullableTime;
  /** Where it stood when its signals alone ended it: should they come again soon, it stands there again. */
  settled_from: Nullable<'diagnosed' | 'unresolved'>;
  ended_at: NullableTime;
}

/** An alert from outside or a detector's finding. The primary key is its identity: delivered again, it is one row. */
export interface SignalTable {
  id: string;
  /** null: it was over before it was heard of, so nobody was told; it is kept to know a late duplicate by. */
  incident_id: Nullable<string>;
  kind: 'alert' | 'finding';
  fingerprint: string;
  title: string;
  /** The query whose series it is about; null where the sender does not say. */
  query: Nullable<string>;
  labels: Json<Record<string, string>>;
  payload: Json<unknown>;
  starts_at: Time;
  ends_at: NullableTime;
  seen: Generated<number>;
  /** When it was first heard of. */
  taken_at: Time;
}

/** What code gathered, numbered from 1 within the incident; a claim cites these numbers. */
export interface EvidenceTable {
  incident_id: string;
  number: number;
  kind: 'signal' | 'metric' | 'log' | 'deployment' | 'commit';
  title: string;
  /** What the model and people read; at most 8 KiB. */
  text: string;
  data: Json<unknown>;
  at: Time;
}

/** One for each incident: what the model said, after code has checked it against the evidence. */
export interface DiagnosisTable {
  id: string;
  incident_id: string;
  /** null: nothing was found, which is an answer. */
  root_cause: Nullable<string>;
  category: string;
  /** 0…1, after the cap. */
  confidence: number;
  /** 0…1, as the model said it. */
  said_confidence: number;
  /** Why it was capped, in words for people. */
  cap_reason: Nullable<string>;
  claims: Json<{ text: string; evidence: number[] }[]>;
  /** What code took out of the model's answer, and why. */
  dropped: Json<{ text: string; why: string }[]>;
  next_actions: Json<string[]>;
  model: string;
  created_at: Time;
}

/** A proposed fix: the run that works on it, and what was seen. At most one of an incident is open at a time. */
export interface RemediationTable {
  id: string;
  incident_id: string;
  run_id: string;
  /** The commit it starts from: what was live when the incident began. */
  base_sha: string;
  state: RemediationState;
  /** Raised by every worker that takes it; a write with an older number is refused. */
  epoch: Generated<number>;
  /** Who asked for it; Comio itself when nobody did. */
  requested_by: Json<Person>;
  /** What the run proposed, as code saw it; null until it did. */
  proposal: NullableJson<Proposal>;
  approval_id: Nullable<string>;
  /** Why there is no fix, or what is still to be done by people. */
  error: Nullable<string>;
  created_at: Time;
  ended_at: NullableTime;
}

export type RemediationState =
  | 'working'
  /** Waits for people. */
  | 'proposed'
  | 'approved'
  /** A pull request that waits for its merge and its deployment. */
  | 'published'
  | 'deployed'
  | 'rejected'
  | 'failed';

/** The time after a fix, in which the same series are looked at. */
export interface WatchTable {
  id: string;
  incident_id: string;
  deployment_id: string;
  remediation_id: string;
  series: Json<WatchedSeries[]>;
  state: 'watching' | 'recovered' | 'not_recovered';
  /** Raised by every worker that takes it; a write with an older number is refused. */
  epoch: Generated<number>;
  /** Looks so far, newest last. */
  samples: Json<WatchSample[]>;
  /** Milliseconds between two looks. */
  step_ms: number;
  until: Time;
  /** What came of it, in words for people. */
  result: Nullable<string>;
  created_at: Time;
  ended_at: NullableTime;
}

export interface WatchedSeries {
  signalId: string;
  title: string;
  /**
   * `band`: its value must lie from `low` to `high` (null: no bound). `expression`: an alert's own, which has no result
   * once the alert is over. `signal`: whoever sent the signal must say that it is over.
   */
  kind: 'band' | 'expression' | 'signal';
  query: string | null;
  labels: Record<string, string>;
  low: number | null;
  high: number | null;
}

export interface WatchSample {
  at: string;
  /** In the order of the series; null: nothing was measured. */
  values: (number | null)[];
  inside: (boolean | null)[];
}

/** What a person thought of something we said. One of each person for each subject; a second replaces it. */
export interface FeedbackTable {
  subject: 'diagnosis';
  subject_id: string;
  person_id: string;
  person: Json<Person>;
  /** 1 or -1. */
  value: number;
  comment: Nullable<string>;
  created_at: Time;
}

export interface IncidentTables {
  incident: IncidentTable;
  signal: SignalTable;
  evidence: EvidenceTable;
  diagnosis: DiagnosisTable;
  remediation: RemediationTable;
  watch: WatchTable;
  feedback: FeedbackTable;
}
