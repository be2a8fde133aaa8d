import { isCut, MAX_LOG_LINES } from '#adapters/targets/log-lines.ts';
import { mineTemplates, type Template } from './drain.ts';
import type { Piece, Scene, Source } from './evidence.ts';

/** The newest output of a deployment's instance, oldest line first: see Target.logs. */
export type ReadLogs = (
  deploymentId: string,
  options: { lines: number; since: Date; until?: Date | undefined },
) => Promise<readonly string[]>;

const MAX_NEW = 5;
const MAX_CHANGED = 10;
const MAX_EXAMPLE = 1500;
/** An alert fires late: after its rule's window and its hold, minutes each. */
const ALERT_LAG_MS = 10 * 60_000;

/** What was printed, by template, with how often before and after; what is new comes first. */
export const logsSource = (deps: { logs: ReadLogs | undefined }): Source => ({
  name: 'logs',
  async gather(scene) {
    const { logs } = deps;
    const { live, previous, from } = scene;
    if (!logs || !live) return [];
    const { split, words } = splitOf(scene);
    const lines = MAX_LOG_LINES;
    const [own, after, replaced] = await Promise.all([
      logs(live.id, { lines, since: from, until: split }),
      logs(live.id, { lines, since: split }),
      // What the release before printed is there as long as its instance is.
      previous && live.liveAt > from ? logs(previous.id, { lines, since: from, until: split }) : [],
    ]);
    const before = [...replaced, ...own];
    const cut = { before: isCut(own, lines) || isCut(replaced, lines), after: isCut(after, lines) };
    // While it starts an instance prints other things than later; and what is printed much drives out what was before.
    const isKnown = replaced.length > 0 || (live.liveAt < split && !(own.length === 0 && cut.after));
    const span = (which: 'before' | 'after') =>
      `${cut[which] ? `in the last ${which === 'before' ? before.length : after.length} lines ` : ''}${which}`;
    const newWords = !isKnown
      ? `Whether this line was printed before is not known: nothing is left of what was printed before ${words}.`
      : cut.before
        ? `A line that is not among the last ${before.length} before ${words}; of older ones nothing is known.`
        : `A line that was not printed before ${words}.`;
    const templates = mineTemplates([before, after]);
    const count = (template: Template, index: 0 | 1) => template.counts[index] ?? 0;
    const fresh = templates
      .filter((one) => count(one, 0) === 0)
      .toSorted((a, b) => count(b, 1) - count(a, 1))
      .slice(0, MAX_NEW);
    const shares = [Math.max(1, before.length), Math.max(1, after.length)] as const;
    const shift = (one: Template) => Math.abs(count(one, 1) / shares[1] - count(one, 0) / shares[0]);
    const changed = templates
      .filter((one) => count(one, 0) > 0)
      .toSorted((a, b) => shift(b) - shift(a))
      .slice(0, MAX_CHANGED);
    const pieces: Piece[] = fresh.map((one) => ({
      kind: 'log',
      title: `${isKnown && !cut.before ? 'new log line' : 'log line'}, ${count(one, 1)} times: ${one.tokens.join(' ')}`,
      text: [
        newWords,
        `${isKnown ? `${count(one, 0)} times ${span('before')}, ` : ''}${count(one, 1)} times ${span('after')}.`,
        `template: ${one.tokens.join(' ')}`,
        `for example: ${one.example.slice(0, MAX_EXAMPLE)}`,
      ].join('\n'),
      data: {
        template: one.tokens.join(' '),
        before: isKnown ? count(one, 0) : null,
        after: count(one, 1),
      },
    }));
    if (changed.length > 0)
      pieces.push({
        kind: 'log',
        title: `log lines before and after, by template (${before.length} and ${after.length} lines)`,
        text: [
          `Before and after ${words}; counted ${span('before')} and ${span('after')}.`,
          ...changed.map(
            (one) => `${count(one, 0)} before, ${count(one, 1)} after: ${one.tokens.join(' ').slice(0, 500)}`,
          ),
        ].join('\n'),
        data: { before: before.length, after: after.length },
      });
    return pieces;
  },
});

/**
 * What is before and what after: an alert's beginning is later than its cause's, so a release that went live shortly before
 * it is where its lines are parted.
 */
function splitOf({ signals, live, onset }: Scene): { split: Date; words: string } {
  const lag = live ? onset.getTime() - live.liveAt.getTime() : -1;
  if (live && signals[0]?.kind === 'alert' && lag >= 0 && lag <= ALERT_LAG_MS)
    return { split: live.liveAt, words: `commit ${live.sha.slice(0, 7)} went live` };
  return { split: onset, words: 'the incident began' };
}
