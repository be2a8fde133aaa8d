import pg from 'pg';

/**
 * One set of parsers for both databases: PGlite and pg disagree on int8, date, interval, bytea and numeric
 * arrays. What is not listed (text, bool, int4, float8, jsonb, timestamptz, vector as text) they already agree on.
 */
const scalars: { oid: number; arrayOid: number; parse: (text: string) => unknown }[] = [
  { oid: pg.types.builtins.INT8, arrayOid: 1016, parse: parseInt8 },
  { oid: pg.types.builtins.BYTEA, arrayOid: 1001, parse: (text) => Buffer.from(text.slice(2), 'hex') },
  { oid: pg.types.builtins.NUMERIC, arrayOid: 1231, parse: (text) => text },
  { oid: pg.types.builtins.DATE, arrayOid: 1182, parse: (text) => text },
  { oid: pg.types.builtins.INTERVAL, arrayOid: 1187, parse: (text) => text },
];

/** int8 and count(*) as numbers. Throws a RangeError past 2^53 − 1, rather than round. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 ${text} does not fit a JavaScript number`);
  return value;
}

/** For `new PGlite({ parsers })`, which derives the array parsers itself. */
export const pgliteParsers = Object.fromEntries(scalars.map(({ oid, parse }) => [oid, parse]));

/** Of type text[], which the typings do not list. */
const textArrayOid: number = 1009;
const parseTextArray: (text: string) => unknown = pg.types.getTypeParser(textArrayOid);

const each = (value: unknown, parse: (text: string) => unknown): unknown =>
  Array.isArray(value)
    ? value.map((item) => each(item, parse))
    : typeof value === 'string'
      ? parse(value)
      : value;

const pgParsers = new Map<number, (text: string) => unknown>(
  scalars.flatMap(({ oid, arrayOid, parse }) => [
    [oid, parse] as const,
    [arrayOid, (text: string) => each(parseTextArray(text), parse)] as const,
  ]),
);

/** For `new pg.Pool({ types })`: of this pool only, so that other users of pg in the process keep theirs. */
export const pgTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    (format !== 'binary' && pgParsers.get(oid)) || pg.types.getTypeParser(oid, format),
};
