import {
  type APIApplicationCommandOption,
  type APIChatInputApplicationCommandInteractionData,
  ApplicationCommandOptionType,
  ApplicationCommandType,
  ApplicationIntegrationType,
  InteractionContextType,
  type RESTPutAPIApplicationCommandsJSONBody,
} from 'discord.js';

/** Long enough for a pasted stack trace, short enough for one message. Discord's own limit is 6,000. */
const MAX_TEXT = 4000;

const subcommand = (
  name: string,
  description: string,
  ...texts: { name: string; description: string; required: boolean }[]
): APIApplicationCommandOption => ({
  type: ApplicationCommandOptionType.Subcommand,
  name,
  description,
  options: texts.map((text) => ({
    type: ApplicationCommandOptionType.String as const,
    max_length: MAX_TEXT,
    ...text,
  })),
});

/** The whole set, replaced at every start: one command, one subcommand for each verb of the grammar. */
export const commands: RESTPutAPIApplicationCommandsJSONBody = [
  {
    type: ApplicationCommandType.ChatInput,
    name: 'comio',
    description: 'Create, change and repair software in this thread',
    // Only where the bot itself is: a command of a user's own installation could not post in the channel.
    integration_types: [ApplicationIntegrationType.GuildInstall],
    contexts: [InteractionContextType.Guild, InteractionContextType.BotDM],
    options: [
      subcommand('new', 'Start a project from scratch', {
        name: 'description',
        description: 'What to build',
        required: true,
      }),
      subcommand(
        'import',
        'Work on an existing repository',
        { name: 'repository', description: 'owner/name or a git URL', required: true },
        { name: 'request', description: 'What to do with it', required: false },
      ),
      subcommand('ask', 'Ask about the code', {
        name: 'question',
        description: 'What you want to know',
        required: true,
      }),
      subcommand('edit', 'Change the code', {
        name: 'request',
        description: 'What to change',
        required: true,
      }),
      subcommand('fix', 'Find and repair what is broken', {
        name: 'request',
        description: 'What is broken; empty: whatever the tests show',
        required: false,
      }),
      subcommand('deploy', 'Put a commit into an environment', {
        name: 'environment',
        description: 'staging or production; empty: staging',
        required: false,
      }),
      subcommand('rollback', 'Put the release before the live one back', {
        name: 'environment',
        description: 'staging or production; empty: staging',
        required: false,
      }),
      subcommand('logs', 'The newest lines a deployment printed', {
        name: 'environment',
        description: 'staging or production; empty: staging',
        required: false,
      }),
      subcommand('incidents', 'What is wrong with this project, and what was'),
      subcommand('approve', 'Approve what waits for it in this thread'),
      subcommand('reject', 'Reject what waits for approval in this thread', {
        name: 'reason',
        description: 'Why, for whoever asked',
        required: false,
      }),
      subcommand('status', 'What is going on in this thread'),
      subcommand('stop', 'Stop the work; what is done is kept'),
      subcommand('undo', 'Take back the last turn, after showing the difference'),
      subcommand('help', 'What you can say'),
    ],
  },
];

/** The command as somebody would have typed it: `import owner/name make the tests pass`. */
export function commandText(data: APIChatInputApplicationCommandInteractionData): string {
  const [verb] = data.options ?? [];
  if (verb?.type !== ApplicationCommandOptionType.Subcommand) return '';
  const texts = (verb.options ?? []).flatMap((option) =>
    option.type === ApplicationCommandOptionType.String ? [option.value.trim()] : [],
  );
  return [verb.name, ...texts].filter((text) => text !== '').join(' ');
}
