import type { Hono } from 'hono';

const CONTENTS = ['+1', '-1', 'laugh', 'confused', 'heart', 'hooray', 'rocket', 'eyes'];

export interface Reaction {
  id: number;
  content: string;
  login: string;
}

/** https://docs.github.com/en/rest/reactions: each person reacts with each content at most once. */
export function createReactions() {
  /** By `owner/name/` and the path below the repository, `issues/comments/7` for instance. */
  const all = new Map<string, Reaction[]>();
  let count = 0;
  return {
    on: (repository: string, subject: string): Reaction[] => all.get(`${repository}/${subject}`) ?? [],
    /** `whoIs` names the caller; `exists` says whether there is something to react to. */
    mount(
      app: Hono,
      whoIs: (authorization: string | undefined) => string | undefined,
      exists: (path: string, authorization: string | undefined) => Promise<boolean>,
    ): void {
      app.post('/repos/:owner/:repo/:subject{(issues|pulls)/.+}/reactions', async (context) => {
        const { owner, repo, subject } = context.req.param();
        const authorization = context.req.header('authorization');
        const login = whoIs(authorization);
        if (login === undefined) return context.json({ message: 'Requires authentication' }, 401);
        const { content } = (await context.req.json()) as { content?: string };
        if (content === undefined || !CONTENTS.includes(content))
          return context.json({ message: 'Validation Failed' }, 422);
        const path = `/repos/${owner}/${repo}/${subject}`;
        if (!(await exists(path, authorization))) return context.json({ message: 'Not Found' }, 404);
        const key = `${owner}/${repo}/${subject}`;
        const there = all.get(key) ?? [];
        const same = there.find((reaction) => reaction.login === login && reaction.content === content);
        if (same) return context.json({ id: same.id, content, user: { login } }, 200);
        count += 1;
        all.set(key, [...there, { id: count, content, login }]);
        return context.json({ id: count, content, user: { login } }, 201);
      });
    },
  };
}
