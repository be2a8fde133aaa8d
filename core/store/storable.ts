import { PGliteDialect, PostgresDialect, PostgresQueryCompiler } from 'kysely';

/*
 * PostgreSQL holds every text but two kinds: with a NUL in it, and (in JSON) with half of a surrogate pair. People, models
 * and the output of commands bring both, and a row that is refused would end the run it is about. They become U+FFFD.
 */
const REPLACEMENT = '\ufffd';

/** JSON that a jsonb column takes. */
export const toJson = (value: unknown): string =>
  // Whole escapes are looked at, so that a backslash somebody wrote before "u0000" is none of the match.
  JSON.stringify(value ?? null).replace(/\\(?:u0000|ud[89a-f][0-9a-f]{2}|.)/g, (found) =>
    /^\\u(?:0000|d)/.test(found) ? REPLACEMENT : found,
  );

class StorableCompiler extends PostgresQueryCompiler {
  protected override appendValue(value: unknown): void {
    super.appendValue(typeof value === 'string' ? value.replaceAll('\0', REPLACEMENT) : value);
  }
}

/** Kysely's dialects, which clean what is sent. */
export class StorablePGliteDialect extends PGliteDialect {
  override createQueryCompiler(): StorableCompiler {
    return new StorableCompiler();
  }
}
export class StorablePostgresDialect extends PostgresDialect {
  override createQueryCompiler(): StorableCompiler {
    return new StorableCompiler();
  }
}
