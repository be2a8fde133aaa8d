import { expect, it } from 'vitest';
import type { Surface, SurfaceName } from '#core/conversations/surface.ts';
import { statusPage } from '#core/status-page.ts';
import { statusView } from '#core/status-view.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { openTestDatabase } from '#test/support/database.ts';
import { createMemorySurface } from '../support/memory-surface.ts';

it('the status page names nothing and nobody where strangers may open it', async () => {
  await using database = await openTestDatabase('postgres');
  const { db } = database;
  const id = (name: string) => `${name}-1`;
  await db
    .insertInto('project')
    .values({
      id: id('p'),
      name: 'secret-plans',
      description: '',
      origin: 'imported',
      default_branch: 'main',
    })
    .execute();
  const run = { id: id('r'), project_id: id('p'), title: 'secret-plans', branch: 'comio/secret-x' };
  await db
    .insertInto('run')
    .values({ ...run, pull_request: 7, pull_request_url: 'https://github.com/acme/secret-plans/pull/7' })
    .execute();
  await db
    .insertInto('conversation')
    .values({ id: id('c'), surface: 'slack', key: 'k', address: '{}', run_id: id('r') })
    .execute();
  const turn = {
    run_id: id('r'),
    conversation_id: id('c'),
    verb: 'fix' as const,
    request: 'fix the secret leak',
  };
  const states = [
    { id: 't1', seq: 1, message_id: 'm1', state: 'done' as const, ended_at: new Date() },
    { id: 't2', seq: 2, message_id: 'm2', state: 'working' as const },
  ];
  for (const state of states)
    await db
      .insertInto('turn')
      .values({ ...turn, requested_by: '{"id":"U1","name":"Secret Ada","claims":[]}', ...state })
      .execute();
  await db
    .insertInto('step')
    .values({
      turn_id: 't2',
      seq: 1,
      kind: 'tool',
      state: 'started',
      title: 'Reading secret.txt',
      input: '{}',
    })
    .execute();
  await using driver = createMemoryDriver();
  const { surface } = createMemorySurface();
  surface.status = () => ({ connected: true, detail: 'secret.slack.com' });
  const surfaces = new Map<SurfaceName, Surface>([['slack', surface]]);
  const page = async (isPublic: boolean) =>
    statusPage(
      await statusView({
        db,
        database: 'PGlite',
        driver,
        surfaces,
        startedAt: new Date(),
        version: '1',
        redact: (text) => text,
        isPublic,
      }),
    );
  const inside = await page(false);
  for (const word of ['secret-plans', 'the secret leak', 'secret.txt', 'secret.slack.com', '/pull/7'])
    expect(inside).toContain(word);
  const outside = await page(true);
  expect(outside).not.toMatch(/secret|\/pull\//i);
  expect(outside).toContain('>fix<');
  expect(outside).toContain('Working');
});
