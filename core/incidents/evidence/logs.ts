import { mineTemplates, type Template } from './drain.ts';
import type { Piece, Source } from './evidence.ts';

/** The newest output of a deployment's instance, oldest line first: see Target.logs. */
export type ReadLogs = (
  deploymentId: string,
  options: { lines: number; since: Date },
) => Promise<readonly string[]>;

const MAX_LINES = 20_000;
const MAX_NEW = 5;
const MAX_CHANGED = 10;
const MAX_EXAMPLE = 1500;

/** What the live instance printed, by template, with how often before and after; what is new comes first. */
export const logsSource = (deps: { logs: ReadLogs | undefined }): Source => ({
  name: 'logs',
  async gather({ live, from, onset }) {
    if (!deps.logs || !live) return [];
    const [all, after] = await Promise.all([
      deps.logs(live.id, { lines: MAX_LINES, since: from }),
      deps.logs(live.id, { lines: MAX_LINES, since: onset }),
    ]);
    // Both end with the newest line, or nearly so: what is not after is before.
    const before = all.slice(0, Math.max(0, all.length - after.length));
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
      title: `new log line, ${count(one, 1)} times: ${one.tokens.join(' ')}`,
      text: [
        `A line that was not printed before: ${count(one, 0)} times before, ${count(one, 1)} times after.`,
        `template: ${one.tokens.join(' ')}`,
        `for example: ${one.example.slice(0, MAX_EXAMPLE)}`,
      ].join('\n'),
      data: { template: one.tokens.join(' '), before: count(one, 0), after: count(one, 1) },
    }));
    if (changed.length > 0)
      pieces.push({
        kind: 'log',
        title: `log lines before and after, by template (${before.length} and ${after.length} lines)`,
        text: changed
          .map(
            (one) => `${count(one, 0)} before, ${count(one, 1)} after: ${one.tokens.join(' ').slice(0, 500)}`,
          )
          .join('\n'),
        data: { before: before.length, after: after.length },
      });
    return pieces;
  },
});
