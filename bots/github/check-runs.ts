import { type GitHubClient, orUndefined } from '#adapters/forge/github-app.ts';
import { cut, oneLine } from '#adapters/forge/github-markdown.ts';
import { type Action, APPROVAL_ACTIONS, type Card } from '#core/conversations/card.ts';
import type { Logger } from '#observability/log.ts';
import { toSurfaceError } from './errors.ts';

/*
 * A question on a pull request is a check run of its head commit, too, with the answers as buttons:
 * https://docs.github.com/en/rest/checks/runs. They are shown on completed runs only, so while the question is open the
 * run's conclusion is `action_required`.
 */

/** GitHub's limits, in characters. */
const LIMITS = {
  label: 20,
  identifier: 20,
  description: 40,
  actions: 3,
  title: 255,
  summary: 65_535,
} as const;
const PAGE = 100;

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  [APPROVAL_ACTIONS.approve]: 'Let it happen as it is described',
  [APPROVAL_ACTIONS.reject]: 'Do not let it happen',
};

export interface Repo {
  client: GitHubClient;
  owner: string;
  repo: string;
}

/** What the run's `external_id` tells: it comes back with a press, when the commit may be on no pull request any more. */
export interface CheckIdentity {
  number: number;
  /** The value of the buttons. */
  value: string;
  /** The outbox key of the card. */
  key: string;
}

const SHAPE = /^comio (?<number>\d+) (?<value>\S*) (?<key>.+)$/;
const externalId = ({ number, value, key }: CheckIdentity): string => `comio ${number} ${value} ${key}`;

export function identityOf(id: string | null): CheckIdentity | undefined {
  const { number, value = '', key = '' } = SHAPE.exec(id ?? '')?.groups ?? {};
  return number === undefined ? undefined : { number: Number(number), value, key };
}

/** The answers to a question; empty for any other card. */
export const answersOf = (card: Card): Action[] =>
  card.actions.filter(({ id }) => Object.hasOwn(DESCRIPTIONS, id)).slice(0, LIMITS.actions);

/**
 * Makes the question's check run, or finds the one that was made; `summary` is Markdown. undefined where there is none:
 * an issue, or an App that was installed before it asked for `checks: write`; the comment then has to do.
 */
export async function openCheck(
  at: Repo & { number: number },
  card: Card,
  key: string,
  summary: string,
  log: Logger,
): Promise<number | undefined> {
  const answers = answersOf(card);
  const [first] = answers;
  if (!first) return undefined;
  return orWithout('a check run was not made', log, async () => {
    const sha = await headOf(at);
    if (sha === undefined) return undefined;
    const there = await checkOn(at, sha, key);
    if (there !== undefined) return there;
    const { client, owner, repo, number } = at;
    const { data } = await client.rest.checks.create({
      owner,
      repo,
      // With a name of its own: of two runs with one name GitHub shows the newer.
      name: `Approval ${first.value.slice(0, 8)}`,
      head_sha: sha,
      external_id: externalId({ number, value: first.value, key }),
      status: 'completed',
      conclusion: 'action_required',
      output: outputOf(card, summary),
      actions: answers.map(({ id, label }) => ({
        label: cut(oneLine(label), LIMITS.label),
        identifier: id.slice(0, LIMITS.identifier),
        description: (DESCRIPTIONS[id] ?? '').slice(0, LIMITS.description),
      })),
    });
    return data.id;
  });
}

/** The check run of a card that was posted with this key. */
export const findCheck = (
  at: Repo & { number: number },
  key: string,
  log: Logger,
): Promise<number | undefined> =>
  orWithout('check runs could not be looked at', log, async () => {
    const sha = await headOf(at);
    return sha === undefined ? undefined : checkOn(at, sha, key);
  });

/** The question was decided: the run ends as the card does, and loses its buttons. Idempotent. */
export async function closeCheck(
  { client, owner, repo }: Repo,
  id: number,
  card: Card,
  summary: string,
  log: Logger,
): Promise<void> {
  const conclusion = card.tone === 'success' ? 'success' : card.tone === 'danger' ? 'failure' : 'neutral';
  await orWithout('a check run was not ended', log, async () => {
    await client.rest.checks.update({
      owner,
      repo,
      check_run_id: id,
      status: 'completed',
      conclusion,
      output: outputOf(card, summary),
      actions: [],
    });
    return undefined;
  });
}

const outputOf = (card: Card, summary: string) => ({
  title: cut(oneLine(card.title), LIMITS.title) || 'Comio',
  summary: cut(summary, LIMITS.summary),
});

async function headOf({ client, owner, repo, number }: Repo & { number: number }) {
  const pull = await orUndefined(client.rest.pulls.get({ owner, repo, pull_number: number }));
  return pull?.data.head.sha;
}

/** Two pull requests may have the same head commit. */
async function checkOn(
  { client, owner, repo, number }: Repo & { number: number },
  sha: string,
  key: string,
): Promise<number | undefined> {
  for (let page = 1; ; page += 1) {
    const query = { owner, repo, ref: sha, filter: 'all', per_page: PAGE, page } as const;
    const { data } = await client.rest.checks.listForRef(query);
    const found = data.check_runs.find(({ external_id: id }) => {
      const identity = identityOf(id);
      return identity?.key === key && identity.number === number;
    });
    if (found) return found.id;
    if (data.check_runs.length < PAGE) return undefined;
  }
}

/** What GitHub refuses for good is done without; what may work later is thrown. */
async function orWithout<T>(
  what: string,
  log: Logger,
  work: () => Promise<T | undefined>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const failure = toSurfaceError(error, 'check runs');
    if (failure.code === 'rate_limited' || failure.code === 'unavailable') throw failure;
    log.warn({ err: failure }, what);
    return undefined;
  }
}
