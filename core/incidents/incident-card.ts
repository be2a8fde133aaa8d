import type { Selectable } from 'kysely';
import type { Action, Block, Card, PlanItem, Tone } from '../conversations/card.ts';
import { findingEvent } from '../events.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { diagnosisBlocks } from './diagnosis-blocks.ts';
import { literal } from './literal.ts';
import type {
  DiagnosisTable,
  EvidenceTable,
  IncidentState,
  IncidentTable,
  RemediationTable,
  SignalTable,
  WatchTable,
} from './tables.ts';
import { watchItem } from './watch-card.ts';

export interface IncidentView {
  incident: Selectable<IncidentTable>;
  environment: { name: string; host: string } | undefined;
  /** By the time they began. */
  signals: readonly Selectable<SignalTable>[];
  evidence: readonly Pick<Selectable<EvidenceTable>, 'number' | 'kind' | 'title'>[];
  diagnosis: Selectable<DiagnosisTable> | undefined;
  /** The newest. */
  remediation: Pick<Selectable<RemediationTable>, 'state' | 'error'> | undefined;
  /** The newest. */
  watch: Pick<Selectable<WatchTable>, 'state' | 'until' | 'samples' | 'result'> | undefined;
  /** 1 or -1 of each person. */
  votes: readonly number[];
}

const MAX_SIGNALS = 8;
const MAX_LINKS = 4;

/** The live card of an incident. The same rows, the same card. */
export function incidentCard(view: IncidentView): Card {
  const { incident, environment, signals, diagnosis } = view;
  const blocks: Block[] = [{ type: 'markdown', text: signalLines(view).join('\n') }];
  const picture = plotOf(signals);
  if (picture) blocks.push(picture);
  blocks.push({ type: 'plan', items: planItems(view) });
  for (const note of incident.notes) blocks.push({ type: 'markdown', text: `⚠️ ${note}` });
  if (incident.problem !== null) blocks.push({ type: 'markdown', text: incident.problem });
  blocks.push(...diagnosisBlocks(view));
  const links = linksOf(signals);
  if (links.length > 0) blocks.push({ type: 'links', links });
  return {
    title: `${incident.ended_at ? 'Resolved: ' : isQuiet(incident) ? 'Quiet: ' : ''}${oneLine(incident.title, 120)}`,
    tone: toneOf(incident),
    blocks,
    actions: diagnosis ? actionsOf(view, diagnosis) : [],
    footer: [
      STATE_WORDS[incident.state],
      incident.severity,
      ...(environment ? [`${environment.host} (${environment.name})`] : []),
      `began ${minuteOf(incident.began_at)}`,
      ...(isQuiet(incident) && incident.quiet_since
        ? [`quiet since ${minuteOf(incident.quiet_since)}, over when it stays so`]
        : []),
    ].join(' · '),
  };
}

export const minuteOf = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Whole, or with four significant digits. */
export const short = (value: number): string =>
  Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));

/** None of its signals is going, and nobody works on it. */
const isQuiet = ({ state, quiet_since, ended_at }: Selectable<IncidentTable>): boolean =>
  quiet_since !== null && ended_at === null && !['fixing', 'waiting', 'watching'].includes(state);

const toneOf = (incident: Selectable<IncidentTable>): Tone => {
  const { state, severity } = incident;
  if (state === 'resolved') return 'success';
  if (isQuiet(incident)) return 'neutral';
  return severity === 'critical' ? 'danger' : severity === 'warning' ? 'warning' : 'neutral';
};

export const STATE_WORDS: Readonly<Record<IncidentState, string>> = {
  open: 'Open',
  diagnosing: 'Being diagnosed',
  diagnosed: 'Diagnosed',
  fixing: 'Being fixed',
  waiting: 'A fix waits',
  watching: 'Being watched',
  resolved: 'Resolved',
  unresolved: 'Not resolved',
};

function signalLines({ signals, environment, incident }: IncidentView): string[] {
  const faults = [...Map.groupBy(signals, ({ fingerprint }) => fingerprint).values()];
  const lines = faults.slice(0, MAX_SIGNALS).map((same) => lineOf(same, incident.gathered_at));
  if (faults.length > MAX_SIGNALS) lines.push(`- … and ${faults.length - MAX_SIGNALS} more`);
  if (faults.length > 1) {
    const where = environment ? ` in ${environment.name}` : '';
    lines.push('', `Taken as one incident: ${faults.length} signals${where} that belong together.`);
  }
  return lines;
}

/** One line of a fault, however often it came: oldest first, and the newest is what is said of it. */
function lineOf(same: IncidentView['signals'], gatheredAt: Date | null): string {
  const [first, signal] = [same[0], same.at(-1)];
  if (!first || !signal) return '';
  const finding = findingOf(signal);
  const value = finding
    ? `: ${short(finding.value)}, expected ${bandOf(finding.low, finding.high)}`
    : summaryOf(signal);
  const often = same.length > 1 ? `, flapping: ${same.length} times` : '';
  const over = signal.ends_at ? `, over since ${minuteOf(signal.ends_at)}` : '';
  const isLate = gatheredAt !== null && first.taken_at > gatheredAt;
  const late = isLate ? '; came when the evidence was gathered, so the diagnosis does not consider it' : '';
  return `- **${literal(oneLine(signal.title, 120))}** (${signal.kind})${value}${often || ';'} since ${minuteOf(first.starts_at)}${over}${late}`;
}

const bandOf = (low: number | null, high: number | null): string => {
  if (low === null) return high === null ? 'otherwise' : `at most ${short(high)}`;
  return high === null ? `at least ${short(low)}` : `${short(low)} to ${short(high)}`;
};

const summaryOf = ({ payload, title }: Selectable<SignalTable>): string => {
  const annotations = (payload as { annotations?: Record<string, string> }).annotations ?? {};
  const summary = oneLine(annotations.description ?? annotations.summary ?? '', 200);
  return summary === '' || summary === title ? '' : `: ${literal(summary)}`;
};

export const findingOf = ({ kind, payload }: Selectable<SignalTable>) =>
  kind === 'finding' ? findingEvent.safeParse(payload).data : undefined;

/** Of the strongest finding that has one. */
function plotOf(signals: IncidentView['signals']): Block | undefined {
  const [strongest] = signals
    .flatMap((signal) => findingOf(signal) ?? [])
    .filter(({ imageId }) => imageId !== null)
    .toSorted((a, b) => b.score - a.score);
  if (!strongest?.imageId) return undefined;
  const alt = `${oneLine(strongest.title, 100)}: the series, the expected band and the anomaly`;
  return { type: 'image', id: strongest.imageId, alt };
}

function linksOf(signals: IncidentView['signals']): { label: string; url: string }[] {
  const urls = signals.flatMap(({ title, kind, payload }) => {
    const url = kind === 'alert' ? (payload as { generatorUrl?: string | null }).generatorUrl : undefined;
    return url && URL.canParse(url) && /^https?:/.test(url) ? [{ label: oneLine(title, 60), url }] : [];
  });
  return [...new Map(urls.map((link) => [link.url, link])).values()].slice(0, MAX_LINKS);
}

function planItems({ incident, evidence, diagnosis, remediation, watch }: IncidentView): PlanItem[] {
  const gathered = incident.gathered_at !== null;
  const failed = incident.problem !== null;
  const items: PlanItem[] = [
    {
      text: gathered ? `Gathered ${evidence.length} pieces of evidence` : 'Gathering evidence',
      state: gathered ? 'done' : incident.state === 'open' ? 'pending' : 'running',
      detail: gathered ? countsOf(evidence) : undefined,
    },
  ];
  if (diagnosis) items.push({ text: 'Diagnosed', state: 'done' });
  else if (failed) items.push({ text: 'Diagnosing', state: 'failed' });
  else items.push({ text: 'Diagnosing', state: gathered ? 'running' : 'pending' });
  if (remediation) items.push(REMEDIATION_ITEMS[remediation.state](remediation.error));
  if (watch) items.push(watchItem(watch));
  return items;
}

const countsOf = (evidence: IncidentView['evidence']): string => {
  const counts = new Map<string, number>();
  for (const { kind } of evidence) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => `${count} ${kind}${count === 1 ? '' : 's'}`).join(', ');
};

type RemediationState = Selectable<RemediationTable>['state'];
const REMEDIATION_ITEMS: Readonly<Record<RemediationState, (error: string | null) => PlanItem>> = {
  working: () => ({ text: 'Working on a fix', state: 'running' }),
  proposed: () => ({ text: 'Proposed a fix; it waits for approval', state: 'running' }),
  approved: () => ({ text: 'The fix was approved', state: 'running' }),
  published: () => ({ text: 'The fix is a pull request; it waits for its merge', state: 'running' }),
  deployed: () => ({ text: 'The fix is deployed', state: 'done' }),
  rejected: (error) => ({ text: 'The fix was rejected', state: 'failed', detail: error ?? undefined }),
  failed: (error) => ({ text: 'No fix was found', state: 'failed', detail: error ?? undefined }),
};

function actionsOf(
  { incident, votes }: IncidentView,
  diagnosis: Pick<Selectable<DiagnosisTable>, 'id' | 'root_cause'>,
): Action[] {
  const count = (value: number) => votes.filter((vote) => vote === value).length;
  const label = (thumb: string, votes: number) => (votes === 0 ? thumb : `${thumb} ${votes}`);
  const actions: Action[] = [
    { id: 'feedback-up', label: label('👍', count(1)), style: 'default', value: diagnosis.id },
    { id: 'feedback-down', label: label('👎', count(-1)), style: 'default', value: diagnosis.id },
  ];
  const fixable = incident.state === 'diagnosed' || incident.state === 'unresolved';
  if (diagnosis.root_cause !== null && fixable)
    actions.unshift({ id: 'incident-fix', label: 'Try a fix', style: 'primary', value: incident.id });
  return actions;
}
