import { distance } from 'fastest-levenshtein';

export type CommandVerb =
  | 'new'
  | 'import'
  | 'ask'
  | 'edit'
  | 'fix'
  | 'deploy'
  | 'rollback'
  | 'logs'
  | 'incidents'
  | 'approve'
  | 'reject'
  | 'status'
  | 'stop'
  | 'undo'
  | 'help';

export type Command =
  | {
      kind: 'command';
      verb: CommandVerb;
      /** What follows the verb, as it was written, without the verb's options. */
      args: string;
      /** The verb's own `key=value` options, by lower-case key. */
      options: Record<string, string>;
    }
  /** Words for the agent, or for other people. */
  | { kind: 'talk'; text: string }
  /** Meant as a command, but there is no such verb. */
  | { kind: 'unknown'; word: string; suggestion?: CommandVerb | undefined };

export interface VerbEntry {
  /** One line for the help. */
  does: string;
  example: string;
  /** Keys of `key=value` options. Whatever else looks like one is part of the person's words. */
  options: readonly string[];
  /** False for a sentence that begins with the verb's word and means something else. */
  accepts(args: string): boolean;
  /** What may follow the verb in a message that was not addressed to us; undefined: it must be addressed. */
  unaddressed?: RegExp;
}

const always = () => true;
const ALONE = /^$/;
/** "help please", "status now?": courtesies say nothing. */
const nothingMore = (args: string): boolean =>
  args
    .toLowerCase()
    .split(/[^\p{L}\p{N}']+/u)
    .every((word) => word === '' || FILLERS.has(word));
const FILLERS = new Set(
  'please pls now me all everything it this that thanks thank you update report'.split(' '),
);

const PLACES = new Set('to on in from of for staging production prod again back'.split(' '));

/** "deploy to staging please"; not "deploy scripts fail since Monday". */
const isPlace = (args: string): boolean =>
  nothingMore(
    args
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => !PLACES.has(word.replace(/[.,!?]+$/, '')))
      .join(' '),
  );

/** The one grammar, and what the help shows. */
export const VERBS: Readonly<Record<CommandVerb, VerbEntry>> = {
  new: {
    does: 'start a project from a sentence',
    example: 'new an API for cooking recipes with tests',
    options: ['name'],
    // "New idea: …" is said in the middle of a conversation.
    accepts: (args) =>
      !/^(idea|thought|plan|question|problem|bug|issue|error|finding|info)s?\s*[:,–—-]/i.test(args),
  },
  import: {
    does: 'work on a repository you have, optionally with a first task',
    example: 'import owner/name fix the failing test',
    options: [],
    // "Import statements are unused": what can be imported has a slash or a colon in its name.
    accepts: (args) => args === '' || /^\S*[/:]/.test(args),
  },
  ask: {
    does: 'answer a question about the code; changes nothing',
    example: 'ask where are requests validated?',
    options: [],
    accepts: always,
  },
  edit: {
    does: 'change the code, test it and open a pull request',
    example: 'edit add pagination to the recipe list',
    options: [],
    accepts: always,
  },
  fix: {
    does: 'reproduce a bug, fix it and open a pull request',
    example: 'fix parsing "1h 30m" returns 90 hours',
    options: [],
    accepts: always,
  },
  deploy: {
    does: 'put a commit into an environment: `staging` (default) or `production`',
    example: 'deploy staging',
    options: ['ref'],
    accepts: isPlace,
  },
  rollback: {
    does: 'put the release before the live one back',
    example: 'rollback staging',
    options: [],
    accepts: isPlace,
  },
  logs: {
    does: 'show the newest lines a deployment printed',
    example: 'logs staging',
    options: ['lines'],
    accepts: isPlace,
  },
  incidents: {
    does: 'list what is wrong with this project, and what was',
    example: 'incidents',
    options: [],
    accepts: nothingMore,
  },
  approve: {
    does: 'approve what waits for it in this thread',
    example: 'approve',
    options: [],
    // "Approve the budget": only courtesies, or the id a card shows.
    accepts: (args) => nothingMore(args) || /^[0-9a-f]{8}\b/.test(args),
    unaddressed: ALONE,
  },
  reject: {
    does: 'reject what waits for approval in this thread, with a reason if you like',
    example: 'reject the test does not cover leap years',
    options: [],
    accepts: always,
    unaddressed: ALONE,
  },
  status: {
    does: 'tell what is going on in this thread',
    example: 'status',
    options: [],
    accepts: nothingMore,
    unaddressed: ALONE,
  },
  stop: {
    does: 'end the current turn at once; the work is kept',
    example: 'stop',
    options: [],
    // Whatever follows: stopping by mistake costs a sentence, not stopping may cost more.
    accepts: always,
    unaddressed: ALONE,
  },
  undo: {
    does: 'show what going back before the last turn would change; `undo confirm` does it',
    example: 'undo',
    options: [],
    accepts: always,
    unaddressed: /^(confirm|keep)?$/i,
  },
  help: {
    does: 'show this',
    example: 'help',
    options: [],
    accepts: nothingMore,
    unaddressed: ALONE,
  },
};

const NAMES = Object.keys(VERBS) as CommandVerb[];
const isVerb = (word: string): word is CommandVerb => Object.hasOwn(VERBS, word);

export interface ParseOptions {
  /** Said to us: mention, slash command, direct message. */
  addressed: boolean;
  /** Said as a command (a slash command's text), so a first word that is no verb is likely a misspelt one. */
  explicit?: boolean | undefined;
}

/**
 * The first word and the rest. Punctuation at the word is not part of it, nor a dash on its own after it; a word that
 * goes on ("stop-gap", "fix.ts", "edit/undo") is no verb.
 */
const SHAPE =
  /^[\s/!.,:;–—-]*(?:(?:please|pls)[\s,]+)?(?<word>[\p{L}\p{N}_']+)[!.,:;?…–—-]*(?:[ \t]+[:–—-]+[ \t]+|\s+|$|(?<=[:,!?])|(?=\p{Extended_Pictographic}))(?<rest>[\s\S]*)$/iu;

/**
 * Never throws. In text addressed to us the first word decides, unless what follows makes it a sentence. In other
 * text (people talking in a thread we know) only `stop`, `undo`, `status` and `help` on their own count.
 */
export function parseCommand(text: string, { addressed, explicit = false }: ParseOptions): Command {
  const talk: Command = { kind: 'talk', text: text.trim() };
  const match = SHAPE.exec(unquote(text.trim()));
  if (!match) return talk;
  const { word = '', rest = '' } = match.groups ?? {};
  const commanded = explicit || /^\s*\//.test(text);
  const verb = word.toLowerCase();
  if (!isVerb(verb)) {
    const suggestion = nearestVerb(verb);
    const alone = rest === '';
    const meant =
      addressed && (commanded ? alone || suggestion !== undefined : alone && suggestion !== undefined);
    return meant ? { kind: 'unknown', word, suggestion } : talk;
  }
  const entry = VERBS[verb];
  const { options, args } = takeOptions(rest, entry.options);
  const said = entry.unaddressed ? withoutPunctuationAtEnd(args) : args;
  const counts = addressed ? commanded || entry.accepts(said) : entry.unaddressed?.test(said);
  return counts ? { kind: 'command', verb, args: unquote(said), options } : talk;
}

/** A regular expression would take quadratic time on a long row of dots. */
function withoutPunctuationAtEnd(text: string): string {
  let end = text.length;
  while (end > 0 && ' \n\t.,!?…'.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** Within a typing slip: two letters swapped, one wrong, or two in a long word. */
function nearestVerb(word: string): CommandVerb | undefined {
  const letters = (text: string) => [...text].sort().join('');
  return NAMES.map((name) => ({ name, steps: letters(name) === letters(word) ? 1 : distance(name, word) }))
    .filter(({ name, steps }) => steps <= (name.length >= 5 ? 2 : 1))
    .sort((a, b) => a.steps - b.steps)[0]?.name;
}

/** Phones write typographic quotes. */
const VALUE = String.raw`"(?:[^"\\]|\\.)*"|“[^”]*”|[^\s"“]\S*`;

function takeOptions(
  text: string,
  keys: readonly string[],
): { options: Record<string, string>; args: string } {
  const options: Record<string, string> = {};
  if (keys.length === 0) return { options, args: text };
  const pattern = new RegExp(`(?<!\\S)(${keys.join('|')})=(${VALUE})(?:\\s+|$)`, 'giu');
  const args = text.replace(pattern, (_whole, key: string, value: string) => {
    options[key.toLowerCase()] = /^["“]/.test(value) ? value.slice(1, -1).replace(/\\(.)/gs, '$1') : value;
    return '';
  });
  return { options, args: args.trim() };
}

/** What is between the quotes or in the code span that `text` wholly is. */
const unquote = (text: string): string =>
  /^(?:"([^"]*)"|“([^”]*)”|`([^`]*)`)$/
    .exec(text)
    ?.slice(1)
    .find((part) => part !== undefined)
    ?.trim() ?? text;
