import { z } from 'zod';

export type Permission = 'admin' | 'maintain' | 'write' | 'triage' | 'read' | 'none';

export type Caller =
  | { kind: 'nobody' }
  | { kind: 'unknown' }
  | { kind: 'app' }
  | { kind: 'person'; login: string }
  | {
      kind: 'installation';
      account: string;
      repositories: string[] | undefined;
      permissions: Record<string, string>;
    };

const tokenSchema = z.object({
  token: z.string(),
  permissions: z.record(z.string(), z.string()),
  repositories: z.array(z.object({ full_name: z.string() })).optional(),
});

/** Who is who at the peer, and what each may do. */
export function createAccess({
  people,
  tokenOf,
}: {
  people: readonly string[];
  tokenOf(person: string): string;
}) {
  const callers = new Map<string, Caller>(people.map((login) => [tokenOf(login), { kind: 'person', login }]));
  const issued: string[] = [];
  /** `owner/name:login` and `login`, which holds everywhere. */
  const levels = new Map<string, Permission>();

  return {
    /** By the token itself, whatever header it came in. */
    caller(token: string | undefined): Caller {
      if (token === undefined) return { kind: 'nobody' };
      // The emulator checks the signature.
      if (token.split('.').length === 3) return { kind: 'app' };
      return callers.get(token) ?? { kind: 'unknown' };
    },
    /** An installation's token, as it was just given out for this account. */
    issued(account: string, answer: unknown): void {
      const { token, permissions, repositories } = tokenSchema.parse(answer);
      const names = repositories?.map(({ full_name }) => full_name);
      issued.push(token);
      callers.set(token, { kind: 'installation', account, permissions, repositories: names });
    },
    /** Every installation token given out so far. */
    issuedTokens: (): string[] => issued,
    setPermission(login: string, level: Permission, repository?: string): void {
      levels.set(repository === undefined ? login : `${repository}:${login}`, level);
    },
    permission(login: string, repository: string, isPrivate: boolean): Permission {
      const owner = repository.split('/')[0];
      const given = levels.get(`${repository}:${login}`) ?? levels.get(login);
      return given ?? (owner === login ? 'admin' : isPrivate ? 'none' : 'read');
    },
    /** An installation reaches its own account's repositories, and only those its token is for. */
    reaches(caller: Caller, repository: string): boolean {
      if (caller.kind !== 'installation') return false;
      if (repository.split('/')[0] !== caller.account) return false;
      return caller.repositories?.includes(repository) ?? true;
    },
  };
}

export type Access = ReturnType<typeof createAccess>;

/** `token X`, `Bearer X` and Basic `anything:X`. */
export function tokenIn(authorization: string | undefined): string | undefined {
  const [, scheme = '', value = ''] = /^(\w+)\s+(\S+)$/.exec(authorization ?? '') ?? [];
  if (value === '') return undefined;
  if (scheme.toLowerCase() !== 'basic') return value;
  return Buffer.from(value, 'base64')
    .toString()
    .replace(/^[^:]*:/, '');
}
