/** What stands for whatever varied. */
export const WILDCARD = '<*>';

export interface Template {
  tokens: string[];
  /** Of each input it was given, how many lines. */
  counts: number[];
  example: string;
}

const DEPTH = 3;
const SIMILARITY = 0.5;
const MAX_TOKENS = 40;
const MAX_TEMPLATES = 500;

/**
 * Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017): lines with as many words and
 * the same first words are compared word by word, and where half of them agree they are one template. Words with a digit
 * in them vary by nature. `inputs`: lists of lines whose counts are kept apart.
 */
export function mineTemplates(inputs: readonly (readonly string[])[]): Template[] {
  const leaves = new Map<string, Template[]>();
  const all: Template[] = [];
  for (const [index, lines] of inputs.entries()) {
    for (const line of lines) {
      const tokens = tokensOf(line);
      if (tokens.length === 0) continue;
      const key = [tokens.length, ...tokens.slice(0, DEPTH)].join(' ');
      const leaf = leaves.get(key) ?? [];
      leaves.set(key, leaf);
      let template = closest(leaf, tokens);
      if (template) {
        for (const [at, token] of tokens.entries())
          if (template.tokens[at] !== token) template.tokens[at] = WILDCARD;
      } else {
        if (all.length >= MAX_TEMPLATES) continue;
        template = { tokens, counts: inputs.map(() => 0), example: line };
        leaf.push(template);
        all.push(template);
      }
      template.counts[index] = (template.counts[index] ?? 0) + 1;
    }
  }
  return all;
}

function closest(templates: readonly Template[], tokens: readonly string[]): Template | undefined {
  let best: Template | undefined;
  let most = tokens.length * SIMILARITY;
  for (const template of templates) {
    const same = tokens.filter((token, at) => template.tokens[at] === token).length;
    if (same >= most) {
      best = template;
      most = same + 1;
    }
  }
  return best;
}

const tokensOf = (line: string): string[] =>
  words(line)
    .slice(0, MAX_TOKENS)
    .map((token) => (/\d/.test(token) || token.length > 60 ? WILDCARD : token));

/** When and by which process a line was written is in every line another. */
const BORING = new Set(['time', 'ts', 'timestamp', '@timestamp', 'pid', 'hostname']);

/** A line of JSON reads as its level, its message, and its other fields by name; those that differ are other templates. */
function words(line: string): string[] {
  const fields = line.trimStart().startsWith('{') ? parseObject(line) : undefined;
  if (!fields) return line.split(/[\s,;]+/).filter(Boolean);
  const { level, msg, message, ...rest } = fields;
  const text = [level, msg ?? message].filter((part) => part !== undefined).map(wordOf);
  const named = Object.entries(rest)
    .filter(([name]) => !BORING.has(name))
    .map(([name, value]) => `${name}=${wordOf(value)}`);
  return [...text, ...named]
    .flatMap((part) => part.split(/\s+/))
    .filter(Boolean)
    .map(masked);
}

/** The name of a field stays when its value varies. */
const masked = (token: string): string => {
  const at = token.indexOf('=');
  return at > 0 && /\d/.test(token.slice(at)) ? `${token.slice(0, at)}=${WILDCARD}` : token;
};

/** An object from a log may have a `toString` that is none. */
const wordOf = (value: unknown): string => (isPlain(value) ? String(value) : JSON.stringify(value));

const isPlain = (value: unknown): value is string | boolean =>
  typeof value === 'string' || typeof value === 'boolean';

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
