import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { forEachStore } from '#test/support/database.ts';

forEachStore((_kind, open) => {
  it('gives every column type as one and the same JavaScript type', async () => {
    await using database = await open();
    const { rows } = await sql`select
      9007199254740991::int8 as int8, (select count(*) from pg_class where false) as count,
      array[1, null]::int8[] as int8s, '{{1,2},{3,4}}'::int8[] as nested,
      1::int4 as int4, 1.5::float8 as float8, 1.50::numeric as numeric, array[1.50]::numeric[] as numerics,
      true as bool, 'ä'::text as text, array['a"b', null, 'c,d'] as texts,
      '{"a": [1, {"b": null}]}'::jsonb as jsonb, array['{"a": 1}'::jsonb] as jsonbs, null::jsonb as nothing,
      '2026-01-02T03:04:05.678Z'::timestamptz as timestamptz, array['2026-01-02T03:04:05Z'::timestamptz] as timestamptzs,
      '2026-01-02'::date as date, array['2026-01-02'::date] as dates,
      '1 day 02:00:00'::interval as interval, array['1 day'::interval] as intervals,
      '\\x00ff'::bytea as bytea, array['\\x00ff'::bytea] as byteas, '[1,2.5]'::vector as vector,
      'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as uuid`.execute(database.db);
    expect(rows[0]).toEqual({
      int8: 9007199254740991,
      count: 0,
      int8s: [1, null],
      nested: [
        [1, 2],
        [3, 4],
      ],
      int4: 1,
      float8: 1.5,
      numeric: '1.50',
      numerics: ['1.50'],
      bool: true,
      text: 'ä',
      texts: ['a"b', null, 'c,d'],
      jsonb: { a: [1, { b: null }] },
      jsonbs: [{ a: 1 }],
      nothing: null,
      timestamptz: new Date('2026-01-02T03:04:05.678Z'),
      timestamptzs: [new Date('2026-01-02T03:04:05Z')],
      date: '2026-01-02',
      dates: ['2026-01-02'],
      interval: '1 day 02:00:00',
      intervals: ['1 day'],
      bytea: Buffer.from([0, 255]),
      byteas: [Buffer.from([0, 255])],
      vector: '[1,2.5]',
      uuid: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    });
  });

  it('takes back what it gave', async () => {
    await using database = await open();
    await sql`create table sample (int8 int8, jsonb jsonb, at timestamptz, bytes bytea, texts text[])`.execute(
      database.db,
    );
    const row = {
      int8: 2 ** 40,
      at: new Date('2026-01-02T03:04:05.678Z'),
      bytes: Buffer.from([0, 255]),
      texts: ['a"b', 'c,d'],
    };
    const list = [1, 'two', { three: null }];
    await sql`insert into sample values
      (${row.int8}, ${JSON.stringify(list)}, ${row.at}, ${row.bytes}, ${row.texts})`.execute(database.db);
    const { rows } = await sql`select * from sample`.execute(database.db);
    expect(rows).toEqual([{ ...row, jsonb: list }]);
  });

  it('refuses an int8 that a number cannot hold, rather than round it', async () => {
    await using database = await open();
    await expect(sql`select 9007199254740993::int8`.execute(database.db)).rejects.toThrow(RangeError);
    const { rows } = await sql`select 1 as still`.execute(database.db);
    expect(rows).toEqual([{ still: 1 }]);
  });
});
