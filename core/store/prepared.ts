import { escapeLiteral } from 'pg';
import type { Db as BossDb } from 'pg-boss';

/** pg-boss writes names into its statements, of which there are few; whatever else varies is not worth keeping. */
const MAX_STATEMENTS = 200;

/**
 * Has the larger statements of pg-boss planned once instead of each time: on PGlite planning takes 5 ms (send) to 15 ms
 * (fetch) of the one session that everybody shares, where running takes half a millisecond. They are prepared by SQL,
 * because PGlite's protocol has no named statements; that they outlive a transaction that is rolled back is
 * PostgreSQL's promise. Of each `BossDb` on one session, all must come from one call of this.
 */
export const createPreparer = (): ((db: BossDb) => BossDb) => {
  const names = new Map<string, string>();
  let count = 0;

  return (db) => ({
    ...db,
    async executeSql(text, values = []) {
      if (!isPreparable(text, values) || names.size >= MAX_STATEMENTS) return db.executeSql(text, values);
      let name = names.get(text);
      if (name === undefined) {
        count += 1;
        name = `comio_${count}`;
        await db.executeSql(`PREPARE ${name} AS ${text}`);
        names.set(text, name);
      }
      const list = values.map((value) => escapeLiteral(value)).join(', ');
      return db.executeSql(list === '' ? `EXECUTE ${name}` : `EXECUTE ${name} (${list})`);
    },
  });
};

/** One statement whose parameters, if it has any, are texts. */
const isPreparable = (text: string, values: readonly unknown[]): values is string[] =>
  /^\s*WITH\s/.test(text) && !text.includes(';') && values.every((value) => typeof value === 'string');
