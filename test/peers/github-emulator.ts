import { createEmulator } from 'emulate';

export interface Account {
  login: string;
  /** The App's installation on it; undefined: not installed. */
  installation: number | undefined;
}

export interface EmulatorOptions {
  app: { id: number; slug: string; privateKey: string };
  people: readonly string[];
  organizations: readonly Account[];
  /** Personal accounts the App is installed on are among `people`, too. */
  personal: readonly Account[];
  /** Where it tells what happened. */
  hookUrl: string;
}

export interface Emulator extends AsyncDisposable {
  /** How the emulator itself calls the place: in every link of its answers. */
  url: string;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  tokenOf(person: string): string;
}

export const PERMISSIONS = {
  administration: 'write',
  checks: 'write',
  contents: 'write',
  deployments: 'write',
  issues: 'write',
  metadata: 'read',
  pull_requests: 'write',
} as const;

const EVENTS = [
  'issues',
  'issue_comment',
  'pull_request',
  'pull_request_review',
  'pull_request_review_comment',
];

/** npm `emulate`: accounts, the App's sign-in, issues, comments, reviews and pull requests. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { app, people, organizations, personal } = options;
  const tokenOf = (person: string) => `ghp_${person}_of_the_local_peer`;
  const installations = [...organizations, ...personal].flatMap(({ login, installation }) =>
    installation === undefined
      ? []
      : [{ installation_id: installation, account: login, repository_selection: 'all' }],
  );
  const emulator = await createEmulator({
    service: 'github',
    port: 0,
    hostname: '127.0.0.1',
    seed: {
      tokens: Object.fromEntries(
        people.map((login) => [tokenOf(login), { login, scopes: ['repo', 'user'] }]),
      ),
      github: {
        users: people.map((login) => ({ login, name: login[0]?.toUpperCase() + login.slice(1) })),
        // All are members, so that the emulator lets each say something; what they may do is the peer's to say.
        orgs: organizations.map(({ login }) => ({
          login,
          members: people.map((person, index) => ({ login: person, role: index === 0 ? 'admin' : 'member' })),
        })),
        apps: [
          {
            app_id: app.id,
            slug: app.slug,
            name: 'Comio',
            private_key: app.privateKey,
            permissions: PERMISSIONS,
            events: EVENTS,
            webhook_url: options.hookUrl,
            installations,
          },
        ],
      },
    },
  });
  const local = new URL(emulator.url);
  local.hostname = '127.0.0.1';
  return {
    url: emulator.url,
    fetch: (path, init) => fetch(new URL(path, local), init),
    tokenOf,
    [Symbol.asyncDispose]: () => emulator.close(),
  };
}
