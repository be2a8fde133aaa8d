import { oneLine } from '../runs/tools/truncate.ts';
import type { DiagnosisAnswer, Statement } from './diagnosis-schema.ts';
import type { EvidenceTable } from './tables.ts';

export interface EvidenceSeen {
  number: number;
  kind: EvidenceTable['kind'];
  title: string;
  text: string;
}

export interface CheckedDiagnosis {
  rootCause: string | null;
  category: DiagnosisAnswer['category'];
  confidence: number;
  capReason: string | null;
  claims: Statement[];
  dropped: { text: string; why: string }[];
  nextActions: string[];
}

const MOST = 0.9;
const INVENTED = 0.6;
const ONE_KIND = 0.5;
const NO_CAUSE = 0.3;

/**
 * What of a model's answer stands. A statement stands when
 * 1. it cites evidence, and all it cites exists;
 * 2. every number in it is in the evidence it cites, in no other unit: equal when that is rounded to the decimals the
 *    statement gives.
 *    Exempt are whole numbers up to 10 that have no unit, and digits within words (`p95`, `v2`);
 * 3. everything it quotes (in double quotes or backticks, 3 characters or more) is in that evidence, word for word;
 *    case and white space do not count.
 *
 * The root cause is a statement too: without it, or without a claim that stands, nothing was found. The confidence is
 * capped: 0.9 always, 0.6 when something was dropped, 0.5 when what stands cites one kind of evidence only, 0.3 when it
 * cites no deployment, commit or log (a metric that moved is the effect, not the cause).
 */
export function checkDiagnosis(answer: DiagnosisAnswer, evidence: readonly EvidenceSeen[]): CheckedDiagnosis {
  const dropped: CheckedDiagnosis['dropped'] = [];
  const stands = (statement: Statement): boolean => {
    const why = whyNot(statement, evidence);
    if (why !== undefined) dropped.push({ text: statement.text, why });
    return why === undefined;
  };
  const claims = answer.claims
    .filter(stands)
    .map(({ text, evidence }) => ({ text, evidence: [...new Set(evidence)] }));
  const cause = answer.rootCause && stands(answer.rootCause) ? answer.rootCause : null;
  const found = cause !== null && claims.length > 0;
  const cited = new Set([...claims, ...(cause ? [cause] : [])].flatMap((one) => one.evidence));
  const kinds = new Set(evidence.filter(({ number }) => cited.has(number)).map(({ kind }) => kind));
  const { most, reason } = capOf(kinds, dropped.length > 0);
  const capped = answer.confidence > most;
  return {
    rootCause: found ? cause.text : null,
    category: found ? answer.category : 'unknown',
    confidence: found ? Math.min(answer.confidence, most) : 0,
    capReason: found && capped ? reason : null,
    claims,
    dropped,
    nextActions: answer.nextActions,
  };
}

function capOf(kinds: ReadonlySet<string>, invented: boolean): { most: number; reason: string } {
  if (!['deployment', 'commit', 'log'].some((kind) => kinds.has(kind)))
    return { most: NO_CAUSE, reason: 'capped: no deployment, commit or log speaks for it' };
  if (kinds.size === 1) return { most: ONE_KIND, reason: 'capped: only one kind of evidence speaks for it' };
  if (invented) return { most: INVENTED, reason: 'capped: part of what was said is not in the evidence' };
  return { most: MOST, reason: 'capped: evidence is not proof' };
}

/** In words for people; undefined when it stands. */
function whyNot({ text, evidence: cites }: Statement, evidence: readonly EvidenceSeen[]): string | undefined {
  if (cites.length === 0) return `“${oneLine(text, 80)}” cites no evidence`;
  const missing = cites.find((number) => !evidence.some((one) => one.number === number));
  if (missing !== undefined) return `“${oneLine(text, 80)}” cites evidence ${missing}, which there is not`;
  const source = evidence
    .filter(({ number }) => cites.includes(number))
    .map((one) => `${one.title}\n${one.text}`)
    .join('\n')
    // The hour of a time is a number of its own.
    .replace(/(?<=\d)T(?=\d)/g, ' ');
  // Citations within the text are not numbers of it.
  const plain = text.replace(/\[\d+(?:\s*,\s*\d+)*\]/g, ' ');
  const quote = quotesOf(plain).find((part) => !normal(source).includes(normal(part)));
  if (quote !== undefined) return `“${oneLine(quote, 80)}” is not in the evidence cited for it`;
  const known = numbersOf(source);
  const number = numbersOf(plain).find(
    (one) => !isExempt(one) && !known.some((other) => isRounded(other, one)),
  );
  if (number !== undefined) return `the number ${number.written} is not in the evidence cited for it`;
  return undefined;
}

const quotesOf = (text: string): string[] =>
  [...text.matchAll(/"([^"]{3,})"|“([^”]{3,})”|`([^`]{3,})`/g)].map(
    ([, plain, typographic, code]) => plain ?? typographic ?? code ?? '',
  );

const normal = (text: string): string => text.replace(/\s+/g, ' ').trim().toLowerCase();

interface Written {
  written: string;
  value: number;
  decimals: number;
  unit: string;
}

/** `12`, `1,234.5`, `0.12 %`, `450ms`; not the digits of `p95` or of a hash. */
function numbersOf(text: string): Written[] {
  const pattern = /(?<![\p{L}\d_.])(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?(?!\d)(?:\s?(%|[\p{L}/]+))?/gu;
  return [...text.matchAll(pattern)].map(([whole, digits = '', decimals = '', unit = '']) => ({
    written: UNITS.has(unit) ? whole : whole.slice(0, whole.length - unit.length).trim(),
    value: Number(`${digits.replaceAll(',', '')}${decimals === '' ? '' : `.${decimals}`}`),
    decimals: decimals.length,
    unit,
  }));
}

/** As written, and as it is compared. */
const UNITS = new Map([
  ['%', '%'],
  ['percent', '%'],
  ['ms', 'ms'],
  ...['s', 'sec', 'second', 'seconds'].map((word) => [word, 's'] as const),
  ...['min', 'minute', 'minutes'].map((word) => [word, 'min'] as const),
  ...['h', 'hour', 'hours'].map((word) => [word, 'h'] as const),
  ...['kB', 'KB', 'MB', 'GB', 'KiB', 'MiB', 'GiB', 'req/s', 'cores'].map((word) => [word, word] as const),
]);

const isExempt = ({ value, decimals, unit }: Written): boolean =>
  decimals === 0 && value <= 10 && !UNITS.has(unit);

/** Whether `said` is `known`, given with as many decimals or fewer, and not in another unit. */
function isRounded(known: Written, said: Written): boolean {
  const [theirs, ours] = [UNITS.get(known.unit), UNITS.get(said.unit)];
  if (theirs !== undefined && ours !== undefined && theirs !== ours) return false;
  if (known.value === said.value) return true;
  return said.decimals < known.decimals && Math.abs(known.value - said.value) <= 0.5 * 10 ** -said.decimals;
}
