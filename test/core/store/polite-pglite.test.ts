import { expect, it } from 'vitest';
import { openTestDatabase } from '../../support/database.ts';

it('leaves the event loop a turn before each statement and each transaction', async () => {
  await using database = await openTestDatabase('pglite');
  if (database.kind !== 'pglite') throw new Error('not PGlite');
  const { pglite } = database;
  let turns = 0;
  let counting = true;
  const count = () => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const statements = [
    () => pglite.query('select 1'),
    () => pglite.exec('select 1'),
    () => pglite.transaction((trx) => trx.query('select 1')),
  ];
  for (const statement of statements) {
    const before = turns;
    await statement();
    expect(turns).toBeGreaterThan(before);
  }
  counting = false;
});
