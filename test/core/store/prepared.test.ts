import { sql } from 'kysely';
import { fromKysely } from 'pg-boss';
import { expect, it } from 'vitest';
import { createPreparer } from '#core/store/prepared.ts';
import { openTestDatabase } from '../../support/database.ts';

const ECHO = 'WITH said AS (SELECT $1::text AS text) SELECT text FROM said';

it('plans a statement once for the session, in transactions and out of them, also in one that is rolled back', async () => {
  await using database = await openTestDatabase('pglite');
  const { db } = database;
  const prepared = createPreparer();
  const planned = async () =>
    (await sql<{ statement: string }>`select statement from pg_prepared_statements`.execute(db)).rows
      .map(({ statement }) => statement)
      .filter((statement) => statement.includes(ECHO));

  const failed = db.transaction().execute(async (trx) => {
    const { rows } = await prepared(fromKysely(trx)).executeSql(ECHO, ['first']);
    expect(rows).toEqual([{ text: 'first' }]);
    throw new Error('rolled back');
  });
  await expect(failed).rejects.toThrow('rolled back');
  for (const text of [`it's`, `a\\b`, `$1; drop table message --`, `E'\\'' `, 'né\n"x"', '']) {
    expect((await prepared(fromKysely(db)).executeSql(ECHO, [text])).rows).toEqual([{ text }]);
  }
  expect(await planned()).toHaveLength(1);
});

it('leaves alone what is no query, is several statements, or has parameters that are no texts', async () => {
  await using database = await openTestDatabase('pglite');
  const { db } = database;
  const seen: string[] = [];
  const { executeSql } = createPreparer()({
    async executeSql(text, values) {
      seen.push(text);
      return fromKysely(db).executeSql(text, values);
    },
  });
  const numbers = 'WITH n AS (SELECT $1::int AS n) SELECT n FROM n';
  expect((await executeSql(numbers, [3])).rows).toEqual([{ n: 3 }]);
  expect((await executeSql('VALUES (1)')).rows).toEqual([{ column1: 1 }]);
  await expect(executeSql('WITH a AS (SELECT 1) SELECT 1; SELECT 2')).rejects.toThrow();
  expect(seen.some((text) => text.startsWith('PREPARE'))).toBe(false);
});
