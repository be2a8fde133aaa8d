/** The package names its JavaScript as its own typings; these are the schemas the Discord peer checks requests with. */
declare module 'discord-api-spec/zod' {
  import type { core } from 'zod';

  type Schema = core.$ZodType;
  export const MessageCreateRequestSchema: Schema;
  export const MessageEditRequestPartialSchema: Schema;
  export const CreateTextThreadWithMessageRequestSchema: Schema;
  export const CreateMessageInteractionCallbackRequestSchema: Schema;
  export const UpdateMessageInteractionCallbackRequestSchema: Schema;
  export const ApplicationCommandUpdateRequestSchema: Schema;
}
