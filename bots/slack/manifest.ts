import type { webApi } from '@slack/bolt';
import { COMMAND } from './parse.ts';

type Manifest = webApi.AppsManifestCreateArguments['manifest'];

/**
 * The Slack app, as data (https://docs.slack.dev/reference/app-manifest). With a public address Slack calls us there;
 * without one the app uses Socket Mode.
 */
export function createManifest(publicUrl?: string): Manifest {
  const request = publicUrl === undefined ? undefined : new URL('/slack/events', publicUrl).href;
  const at = request === undefined ? {} : { request_url: request };
  return {
    display_information: {
      name: 'Comio',
      description: 'Builds, edits and fixes software in a thread, and opens the pull request.',
      background_color: '#1f2a44',
    },
    features: {
      bot_user: { display_name: 'comio', always_online: true },
      app_home: {
        home_tab_enabled: false,
        messages_tab_enabled: true,
        messages_tab_read_only_enabled: false,
      },
      slash_commands: [
        {
          command: COMMAND,
          description: 'Create, import or fix a project',
          usage_hint: 'new an API for cooking recipes | import owner/name | help',
          should_escape: true,
          ...(request === undefined ? {} : { url: request }),
        },
      ],
    },
    oauth_config: {
      scopes: {
        bot: [
          'app_mentions:read',
          'channels:history',
          'chat:write',
          'chat:write.public',
          'commands',
          'files:write',
          'groups:history',
          'im:history',
          'metadata.message:read',
          'mpim:history',
          'reactions:write',
          'usergroups:read',
          'users:read',
        ],
      },
    },
    settings: {
      event_subscriptions: {
        ...at,
        bot_events: ['app_mention', 'message.channels', 'message.groups', 'message.im', 'message.mpim'],
      },
      interactivity: { is_enabled: true, ...at },
      org_deploy_enabled: false,
      socket_mode_enabled: request === undefined,
      token_rotation_enabled: false,
    },
  };
}

/** Opens Slack's "Create new app" with everything filled in. */
export function manifestLink(publicUrl?: string): string {
  const link = new URL('https://api.slack.com/apps');
  link.searchParams.set('new_app', '1');
  link.searchParams.set('manifest_json', JSON.stringify(createManifest(publicUrl)));
  return link.href;
}
