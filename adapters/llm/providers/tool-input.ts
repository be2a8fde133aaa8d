/** The arguments a model wrote: parsed JSON, `{}` for none, the raw text when it is no JSON. */
export function parseToolInput(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/** The same on its way back to a vendor that takes objects only. */
export const toolInputObject = (input: unknown): Record<string, unknown> =>
  typeof input === 'object' && input !== null && !Array.isArray(input) ? { ...input } : { input };

/** For vendors whose tool results have no error flag: the model still has to see that the call failed. */
export const flaggedResult = (message: { content: string; isError: boolean }): string =>
  message.isError ? `[the call failed]\n${message.content}` : message.content;
