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
  'image built, not noted yet',
  'instance started, not noted yet',
  'instance stopped, not noted yet',
  'recorded on the forge, not noted yet',
  'a deployment is live',
  'the deployment waits for people',
  'evidence stored',
  'the model answered, not noted yet',
  'an incident was diagnosed',
  'working on a fix',
  'the fix waits for people',
  'people are asked',
  'a question was closed',
  'the fix is a pull request',
  'the fix is live, and watched',
  'watch looked',
  'the watch is over',
]);

const SENDS = new Set(['sending', 'sent, not noted yet', 'sent']);

function pointOf(record: LogRecord): string | undefined {
  const msg = String(record.msg);
  if (PLAIN.has(msg)) return msg;
  if (msg === 'message received') return record.result === 'claimed' ? 'message claimed' : undefined;
  if (msg === 'step begun') return `step ${record.step} begun, ${kindOf(record)}`;
  if (msg === 'intent noted' || msg === 'step ended') return `step ${record.step}: ${msg}`;
  if (msg === 'phase begun' || msg === 'phase ended') return `${msg}: ${withoutCommit(String(record.phase))}`;
  if (msg === 'the forge was told, not noted yet') return `${msg}: ${record.status}`;
  if (msg === 'a signal was taken in') return `${msg}: ${record.taken}`;
  return SENDS.has(msg) ? `${msg}: ${messageOf(String(record.key))}` : undefined;
}

/** Titles without what differs from run to run. */
const kindOf = ({ title, kind }: LogRecord): string =>
  `${kind} "${String(title).replace(/\b[\w-]+\/[\w-]+$/, '…')}"`;

const withoutCommit = (phase: string): string => phase.replace(/\b[0-9a-f]{7}\b/, '…');

function messageOf(key: string): string {
  if (key.startsWith('turn:')) return 'live card';
  if (key.startsWith('final:')) return 'final message';
  if (key.startsWith('reply:')) return 'reply';
  const about = /^(deployment|deployed|approval|incident|remediation|watch):/.exec(key)?.[1];
  if (about !== undefined) return about;
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
