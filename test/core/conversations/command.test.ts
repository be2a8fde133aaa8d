import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Command, type CommandVerb, parseCommand, VERBS } from '#core/conversations/command.ts';
import { helpCard } from '#core/conversations/help.ts';

const verbs = Object.keys(VERBS) as CommandVerb[];
const command = (verb: CommandVerb, args = '', options: Record<string, string> = {}): Command => ({
  kind: 'command',
  verb,
  args,
  options,
});
const talk = (text: string): Command => ({ kind: 'talk', text });
const addressed = (text: string) => parseCommand(text, { addressed: true });
const overheard = (text: string) => parseCommand(text, { addressed: false });
const explicit = (text: string) => parseCommand(text, { addressed: true, explicit: true });

describe('text addressed to us', () => {
  it.each<[string, Command]>([
    ['new an API for cooking recipes with tests', command('new', 'an API for cooking recipes with tests')],
    ['NEW an API', command('new', 'an API')],
    ['new "an API for recipes"', command('new', 'an API for recipes')],
    ['new “an API for recipes”', command('new', 'an API for recipes')],
    ['new name=recipes an API', command('new', 'an API', { name: 'recipes' })],
    [
      'new an API name="cooking recipes" with tests',
      command('new', 'an API with tests', { name: 'cooking recipes' }),
    ],
    ['new an API Name=“cooking recipes”', command('new', 'an API', { name: 'cooking recipes' })],
    [
      String.raw`new name="a \"b\" \\" an API`,
      command('new', 'an API', { name: String.raw`a "b" \ `.trim() }),
    ],
    ['new bug tracker with tests', command('new', 'bug tracker with tests')],
    ['new', command('new')],
    ['import owner/name', command('import', 'owner/name')],
    ['import `owner/name`', command('import', 'owner/name')],
    ['import owner/name fix the failing test', command('import', 'owner/name fix the failing test')],
    ['import https://github.com/owner/name', command('import', 'https://github.com/owner/name')],
    ['import git@github.com:owner/name.git', command('import', 'git@github.com:owner/name.git')],
    ['import', command('import')],
    ['ask: where are requests validated?', command('ask', 'where are requests validated?')],
    ['edit, please: add pagination', command('edit', 'please: add pagination')],
    ['Fix "1h 30m" is parsed as 90 hours', command('fix', '"1h 30m" is parsed as 90 hours')],
    ['fix it when name=x', command('fix', 'it when name=x')],
    ['fix the case a=b', command('fix', 'the case a=b')],
    ['fix\nthe test\n\n```js\na = 1\n```', command('fix', 'the test\n\n```js\na = 1\n```')],
    ['fix .env handling', command('fix', '.env handling')],
    ['fix -v prints nothing', command('fix', '-v prints nothing')],
    ['fix — the tests', command('fix', 'the tests')],
    ['fix:the tests', command('fix', 'the tests')],
    ['fix\n- one\n- two', command('fix', '- one\n- two')],
    ['please fix the tests', command('fix', 'the tests')],
    ['/fix the tests', command('fix', 'the tests')],
    ['status', command('status')],
    ['Status?', command('status')],
    ['status update please', command('status', 'update please')],
    ['stop', command('stop')],
    ['stop!', command('stop')],
    ['/stop', command('stop')],
    ['Stop.', command('stop')],
    ['STOP!!!', command('stop')],
    ['stop 🛑', command('stop', '🛑')],
    ['stop🛑', command('stop', '🛑')],
    ['stop, you are deleting the tests', command('stop', 'you are deleting the tests')],
    ['Please stop.', command('stop')],
    ['`stop`', command('stop')],
    ['undo', command('undo')],
    ['undo confirm', command('undo', 'confirm')],
    ['Undo Confirm!', command('undo', 'Confirm')],
    ['`undo confirm`', command('undo', 'confirm')],
    ['undo keep', command('undo', 'keep')],
    ['help', command('help')],
    ['help me please', command('help', 'me please')],
  ])('%j is a command', (text, expected) => {
    expect(addressed(text)).toEqual(expected);
  });

  it.each([
    'add pagination to the list',
    'new idea: use Fastify instead',
    'New problem - the tests are slow',
    'import statements are unused in a.ts',
    'help me fix the login',
    'status codes should be 404, not 200',
    'fix.ts has a bug',
    'stop-gap solutions are fine',
    'edit/undo does not work',
    'newer dependencies would be nice',
    'what is the status?',
    'The fix is wrong',
    'constructor is missing',
    '__proto__',
    'please',
    '👍',
    '!!!',
    '',
  ])('%j is talk', (text) => {
    expect(addressed(text)).toEqual(talk(text));
  });

  it.each<[string, string, string]>([
    ['stpo', 'stpo', 'stop'],
    ['Stauts', 'Stauts', 'status'],
    ['hlep!', 'hlep', 'help'],
    ['udno', 'udno', 'undo'],
  ])('%j is a misspelt command', (text, word, suggestion) => {
    expect(addressed(text)).toEqual({ kind: 'unknown', word, suggestion });
  });

  it('that is one other word is talk', () => {
    for (const text of ['yes', 'thanks', 'ok', 'done?']) expect(addressed(text)).toEqual(talk(text));
  });
});

describe('text said as a command', () => {
  it.each<[string, Command]>([
    ['fx the login', { kind: 'unknown', word: 'fx', suggestion: 'fix' }],
    ['imprt owner/name', { kind: 'unknown', word: 'imprt', suggestion: 'import' }],
    ['preview', { kind: 'unknown', word: 'preview', suggestion: undefined }],
    ['status of the run', command('status', 'of the run')],
    ['help new', command('help', 'new')],
    ['add rate limiting', talk('add rate limiting')],
    ['use Fastify', talk('use Fastify')],
    ['find the bug', talk('find the bug')],
    ['', talk('')],
  ])('%j', (text, expected) => {
    expect(explicit(text)).toEqual(expected);
    if (text !== '')
      expect(addressed(`/${text}`)).toEqual(expected.kind === 'talk' ? talk(`/${text}`) : expected);
  });
});

describe('text of people among themselves', () => {
  it.each<[string, Command]>([
    ['stop', command('stop')],
    ['Stop!', command('stop')],
    ['/stop', command('stop')],
    ['status?', command('status')],
    ['help', command('help')],
    ['undo', command('undo')],
    ['undo confirm', command('undo', 'confirm')],
    ['Undo keep.', command('undo', 'keep')],
  ])('%j counts', (text, expected) => {
    expect(overheard(text)).toEqual(expected);
  });

  it.each([
    'stop it, Bob',
    'stop the meeting',
    'undo that please',
    'status of the release?',
    'help me',
    'new car today',
    'new',
    'fix the tests',
    'import owner/name',
    'ask Bob',
    'stpo',
    '/deploy',
  ])('%j is talk', (text) => {
    expect(overheard(text)).toEqual(talk(text));
  });
});

describe('for any text', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .tuple(fc.constantFrom(...verbs), fc.string({ unit: 'grapheme' }))
      .map(([verb, rest]) => `${verb} ${rest}`),
    fc
      .array(fc.constantFrom('/', '"', '“', '=', 'name=', 'new', ' ', '\n', '\\', '`', 'stop', '!'))
      .map((parts) => parts.join('')),
  );

  it('parsing ends in a command, talk or a question, and loses no talk', () => {
    fc.assert(
      fc.property(anything, fc.boolean(), fc.boolean(), (text, isAddressed, isExplicit) => {
        const parsed = parseCommand(text, { addressed: isAddressed, explicit: isExplicit });
        if (parsed.kind === 'talk') expect(parsed.text).toBe(text.trim());
        if (parsed.kind === 'command') expect(verbs).toContain(parsed.verb);
        if (parsed.kind === 'unknown') expect(text).toContain(parsed.word);
        if (!isAddressed) expect(parsed.kind).not.toBe('unknown');
      }),
      { numRuns: 2000 },
    );
  });

  it('a long one is parsed in a time that does not explode', () => {
    for (const part of ['/ ', 'name="', 'new ', '!', '.', ' ', '- ', 'please ', '\\"', 'name=a ']) {
      const long = part.repeat(100_000);
      for (const text of [long, `new ${long}x`, `undo ${long}x`, `stop${long}x`, `new "${long}`])
        addressed(text);
    }
  });

  it('options come back as they were given, and the words around them too', () => {
    const words = fc
      .array(fc.stringMatching(/^[a-zA-Z0-9.][a-zA-Z0-9.,'-]*$/), { minLength: 1, maxLength: 6 })
      .map((list) => list.join(' '))
      .filter((text) => !/^(idea|thought|plan|question|problem|bug|issue|error|finding|info)/i.test(text));
    const quoted = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`;
    fc.assert(
      fc.property(words, words, fc.string({ unit: 'grapheme' }), (before, after, value) => {
        expect(addressed(`new ${before} name=${quoted(value)} ${after}`)).toEqual(
          command('new', `${before} ${after}`, { name: value }),
        );
      }),
    );
  });
});

describe('help', () => {
  it('shows no verb whose part is not there', () => {
    const text = JSON.stringify(helpCard(new Set<CommandVerb>(['ask'])));
    expect(text).toContain('**ask**');
    expect(text).toContain('**help**');
    expect(text).not.toContain('**deploy**');
  });

  it('shows each verb with an example that is a command of this verb', () => {
    const text = JSON.stringify(helpCard(new Set(verbs)));
    for (const verb of verbs) {
      const { example } = VERBS[verb];
      expect(text).toContain(`**${verb}**`);
      expect(text).toContain(JSON.stringify(example).slice(1, -1));
      expect(addressed(example)).toMatchObject({ kind: 'command', verb });
    }
  });
});
