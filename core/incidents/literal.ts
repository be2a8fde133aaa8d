/**
 * Somebody else's words within our Markdown: nothing in them makes a link, a mention by HTML, or emphasis. What stands
 * in backticks stays code, in which Markdown reads nothing.
 */
export const literal = (text: string): string =>
  text
    .split(/(`[^`]+`)/)
    .map((part, index) => (index % 2 === 1 ? part : part.replace(/[\\`*_[\]<>~|]/g, '\\$&')))
    .join('');
