import type { webApi } from '@slack/bolt';
import type { Person, Role } from '#core/conversations/surface.ts';
import type { Self } from './address.ts';
import { refusal, toSurfaceError } from './errors.ts';

/** Milliseconds that what Slack says about people and groups is believed. */
const FRESH_MS = 60_000;
/** Milliseconds a message waits for its author's name before it goes on with the id. */
const NAME_MS = 1000;
const REMEMBERED = 5000;

interface Member {
  name: string;
  /** A full member of our workspace: no guest, no bot, not from a workspace a channel is shared with. */
  full: boolean;
}

export interface People {
  /** Their display name; the given one while Slack does not say. */
  name(person: Person): Promise<string>;
  role(person: Person): Promise<{ role: Role; reason: string }>;
}

/** Who people are, and who of them may start runs. Whatever cannot be told is no. Throws SurfaceError. */
export function createPeople(deps: {
  client: webApi.WebClient;
  self: () => Self;
  operators: string | undefined;
}): People {
  const { client } = deps;
  const allowed = (deps.operators ?? '').split(/[\s,]+/).filter((id) => id !== '');

  const member = remembered(async (id: string): Promise<Member | undefined> => {
    try {
      const { user } = await client.users.info({ user: id });
      if (!user) return undefined;
      const { profile, deleted, is_bot, is_restricted, is_ultra_restricted, is_stranger, is_workflow_bot } =
        user;
      const team = deps.self().team;
      const ours = user.team_id === team || user.enterprise_user?.teams?.includes(team) === true;
      const other =
        deleted || is_bot || is_restricted || is_ultra_restricted || is_stranger || is_workflow_bot;
      return {
        name: profile?.display_name || profile?.real_name || user.real_name || user.name || id,
        full: ours && !other,
      };
    } catch (error) {
      if (refusal(error) === 'user_not_found' || refusal(error) === 'user_not_visible') return undefined;
      throw toSurfaceError(error, 'asking who somebody is');
    }
  });

  const group = remembered(async (id: string): Promise<ReadonlySet<string>> => {
    try {
      const { users = [] } = await client.usergroups.users.list({ usergroup: id });
      return new Set(users);
    } catch (error) {
      // A group that was switched off or deleted has no members.
      if (refusal(error) === 'no_such_subteam' || refusal(error) === 'subteam_not_found') return new Set();
      throw toSurfaceError(error, `asking who is in ${id}`);
    }
  });

  async function isNamed(id: string): Promise<boolean> {
    if (allowed.includes('*') || allowed.includes(id)) return true;
    for (const candidate of allowed.filter((one) => one.startsWith('S'))) {
      if ((await group(candidate)).has(id)) return true;
    }
    return false;
  }

  return {
    async name(person) {
      const asked = member(person.id).then(
        (found) => found?.name ?? person.name,
        () => person.name,
      );
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<string>((resolve) => {
        timer = setTimeout(resolve, NAME_MS, person.name);
      });
      return Promise.race([asked, late]).finally(() => clearTimeout(timer));
    },

    async role(person) {
      if (allowed.length === 0) {
        return {
          role: 'viewer',
          reason:
            'Nobody on Slack may start runs yet: set SLACK_OPERATORS to the ids of the users and user groups that may, or to * for every full member of the workspace.',
        };
      }
      const found = await member(person.id);
      if (!found?.full)
        return { role: 'viewer', reason: 'Only full members of this workspace may start runs, no guests.' };
      if (await isNamed(person.id)) return { role: 'operator', reason: 'named in SLACK_OPERATORS' };
      return {
        role: 'viewer',
        reason: `${found.name} is neither in SLACK_OPERATORS nor in a group named there.`,
      };
    },
  };
}

/** One question per id and minute, failures not remembered. */
function remembered<T>(ask: (id: string) => Promise<T>): (id: string) => Promise<T> {
  const known = new Map<string, { until: number; answer: Promise<T> }>();
  return async (id) => {
    const now = Date.now();
    const before = known.get(id);
    if (before && before.until > now) return before.answer;
    if (known.size >= REMEMBERED) known.clear();
    const answer = ask(id);
    known.set(id, { until: now + FRESH_MS, answer });
    try {
      return await answer;
    } catch (error) {
      known.delete(id);
      throw error;
    }
  };
}
