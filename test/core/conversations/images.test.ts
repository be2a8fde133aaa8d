import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { createComio } from '#core/comio.ts';
import { loadConfig } from '#core/config.ts';
import { createImages } from '#core/conversations/images.ts';
import { createRedactor } from '#observability/redact.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { forEachStore } from '#test/support/database.ts';
import { silentLog } from '#test/support/silent-log.ts';

const PNG = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0, 255]);

forEachStore((kind, open) => {
  it(`serves what was kept, byte by byte, and nothing else, on ${kind}`, { timeout: 60_000 }, async () => {
    await using database = await open();
    const images = createImages(database.db, 'https://comio.example/');
    const id = await database.db.transaction().execute((trx) => images.keep(trx, PNG));
    await using driver = createMemoryDriver();
    await using comio = await createComio({
      config: loadConfig({}, { COMIO_DATA_DIR: '/nonexistent', LOG_LEVEL: 'silent' }),
      log: silentLog,
      redact: createRedactor([]),
      database,
      driver,
    });
    const { app } = comio;
    const url = images.url(id) ?? '';
    expect(url).toBe(`https://comio.example/images/${id}.png`);
    expect(createImages(database.db, undefined).url(id)).toBeUndefined();
    const answer = await app.request(new URL(url).pathname);
    expect(answer.status).toBe(200);
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(PNG);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'image/png',
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    });
    for (const path of [`${randomUUID()}.png`, id, `${id}.svg`, `..%2f${id}.png`, "'.png", ''])
      expect((await app.request(`/images/${path}`)).status).toBe(404);
  });
});
