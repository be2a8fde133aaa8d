/*
 * Points of the service's work, as its debug records name them. They are the same in every run of the same request, so
 * a point seen in one run can be killed at in another.
 */

type LogRecord = Readonly<Record<string, unknown>>;

/** Records that are points by themselves. */
const PLAIN = new Set([
  'message decided',
  'turn taken',
  'sandbox ready',
  'cloning into a sandbox',
  'pushed from a sandbox',
  'pushed, not noted yet',
  'pull request open, not noted yet',
]);

const SENDS = new Set(['sending', 'sent, not noted yet', 'sent']);

function pointOf(record: LogRecord): string | undefined {
  const msg = String(record.msg);
  if (PLAIN.has(msg)) return msg;
  if (msg === 'message received') return record.result === 'claimed' ? 'message claimed' : undefined;
  if (msg === 'step begun') return `step ${record.step} begun, ${kindOf(record)}`;
  if (msg === 'intent noted' || msg === 'step ended') return `step ${record.step}: ${msg}`;
  return SENDS.has(msg) ? `${msg}: ${messageOf(String(record.key))}` : undefined;
}

/** Titles without what differs from run to run. */
const kindOf = ({ title, kind }: LogRecord): string =>
  `${kind} "${String(title).replace(/\b[\w-]+\/[\w-]+$/, '…')}"`;

function messageOf(key: string): string {
  if (key.startsWith('turn:')) return 'live card';
  if (key.startsWith('final:')) return 'final message';
  if (key.startsWith('reply:')) return 'reply';
  return /^react:(\w+)/.exec(key)?.[1] ?? key;
}

/** Names each record it is given; the second of a kind is `… (2)`. undefined: not a point. */
export function createNamer(): (record: LogRecord) => string | undefined {
  const seen = new Map<string, number>();
  return (record) => {
    const point = pointOf(record);
    if (point === undefined) return undefined;
    const count = (seen.get(point) ?? 0) + 1;
    seen.set(point, count);
    return count === 1 ? point : `${point} (${count})`;
  };
}

/** What a point is of, for counting how many kinds were tried. */
export const kindOfPoint = (point: string): string =>
  point
    .replace(/ \+\d+ ms$/, '')
    .replace(/ \(\d+\)$/, '')
    .replace(/^step \d+/, 'step');
