import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { oneLine } from '../runs/tools/truncate.ts';

/** Where a project says what its app finds in its environment. In the repository, so never a secret. */
export const VARIABLES_FILE = '.comio/deploy.json';

const MAX_FILE_BYTES = 65_536;
const MAX_VARIABLES = 50;
const MAX_VALUE = 1024;

const variables = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'a name has letters, digits and "_", 64 at most')
      .refine((name) => name !== 'PORT', 'PORT is given by Comio'),
    z
      .string({ error: 'a value must be a text in quotes' })
      .max(MAX_VALUE, `a value has at most ${MAX_VALUE} characters`)
      .refine((value) => !value.includes('\0'), 'a value may not contain a NUL'),
  )
  .refine((all) => Object.keys(all).length <= MAX_VARIABLES, `at most ${MAX_VARIABLES} variables`);

const file = z.strictObject({
  env: z.strictObject({ staging: variables.optional(), production: variables.optional() }),
});

/** By the environment they are for. */
export type Variables = z.output<typeof file>['env'];

/** The commit's file is not what it should be; the message says what and where, for people. */
export class BadVariables extends Error {
  override readonly name = 'BadVariables';
}

/** What the commit says, of its files as a tar; nothing when it has no such file. Throws {@link BadVariables}. */
export async function readVariables(source: Buffer): Promise<Variables> {
  const text = await textOf(source);
  if (text === undefined) return {};
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new BadVariables(`${VARIABLES_FILE} is not JSON.`, { cause });
  }
  const parsed = file.safeParse(content);
  if (parsed.success) return parsed.data.env;
  const problems = parsed.error.issues.map((issue) => {
    // What is wrong with a name is one level deeper.
    const why = issue.code === 'invalid_key' ? issue.issues.map(({ message }) => message) : [issue.message];
    return `${issue.path.join('.') || 'it'}: ${why.join(', ')}`;
  });
  throw new BadVariables(`${VARIABLES_FILE} cannot be used: ${oneLine(problems.join('; '), 400)}`);
}

async function textOf(source: Buffer): Promise<string | undefined> {
  let text: string | undefined;
  for await (const entry of Readable.from([source]).pipe(extract())) {
    const { name, type, size = 0 } = entry.header;
    if (type !== 'file' || posix.normalize(name) !== VARIABLES_FILE) {
      entry.resume();
      continue;
    }
    if (size > MAX_FILE_BYTES)
      throw new BadVariables(`${VARIABLES_FILE} is larger than ${MAX_FILE_BYTES / 1024} KiB.`);
    text = (await buffer(entry)).toString();
  }
  return text;
}

const MAX_SHOWN = 8;
/** Whoever puts one into a repository all the same need not read it in a chat, too. */
const SECRETIVE = /secret|token|passw|credential|private|key$/i;

/** For a card; undefined when there are none. */
export function variablesText(given: Readonly<Record<string, string>> | undefined): string | undefined {
  const all = Object.entries(given ?? {}).toSorted(([a], [b]) => a.localeCompare(b));
  if (all.length === 0) return undefined;
  const shown = all
    .slice(0, MAX_SHOWN)
    .map(
      ([name, value]) =>
        `\`${name}=${SECRETIVE.test(name) ? '…' : oneLine(value, 40).replaceAll('`', "'")}\``,
    );
  const more = all.length > MAX_SHOWN ? [`… and ${all.length - MAX_SHOWN} more`] : [];
  return [...shown, ...more].join(', ');
}
