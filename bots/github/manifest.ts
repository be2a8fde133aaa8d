import { EVENTS } from './parse.ts';

/** Below the service's public address. */
export const WEBHOOKS_PATH = '/github/webhooks';

/**
 * What the App is and may do:
 * https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest.
 * Private: only the account that owns it can install it.
 */
export const manifest = ({ publicUrl, redirectUrl }: { publicUrl: string; redirectUrl: string }) => ({
  name: 'Comio',
  url: publicUrl,
  description: 'Creates, changes and repairs software from issues and pull requests.',
  public: false,
  hook_attributes: { url: new URL(WEBHOOKS_PATH, publicUrl).href, active: true },
  redirect_url: redirectUrl,
  default_events: [...new Set(EVENTS.map((event) => event.replace(/\..*/, '')))],
  default_permissions: {
    metadata: 'read',
    // Clone and push.
    contents: 'write',
    // Comments and reactions; a pull request's conversation is an issue's.
    issues: 'write',
    pull_requests: 'write',
    // A question with buttons on a pull request.
    checks: 'write',
    // What runs where, beside the commits.
    deployments: 'write',
    // Repositories for projects born in chat.
    administration: 'write',
  },
});
