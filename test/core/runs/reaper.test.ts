import { describe, expect, it } from 'vitest';
import { createReaper } from '#core/runs/reaper.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { openTestDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/silent-log.ts';

const LIMITS = { memoryMb: 256, cpus: 1, pids: 64 };
const MINUTE_MS = 60_000;

describe.each(['pglite', 'postgres'] as const)('idle sandboxes on %s', (kind) => {
  it('are stopped, and no others', async () => {
    await using database = await openTestDatabase(kind);
    await using driver = createMemoryDriver();
    const { db } = database;
    const make = (key: string) => driver.create({ key, limits: LIMITS, network: 'none' });
    const ago = (minutes: number) => new Date(Date.now() - minutes * MINUTE_MS);
    await db
      .insertInto('project')
      .values({ id: 'p', name: 'p', description: '', origin: 'created', default_branch: 'main' })
      .execute();
    await db
      .insertInto('conversation')
      .values({ id: 'c', surface: 'slack', key: 'k', address: '{}' })
      .execute();
    const add = async (name: string, state: 'working' | 'done', ended: Date | null) => {
      const sandbox = await make(name);
      await db
        .insertInto('run')
        .values({ id: name, project_id: 'p', title: name, branch: name, sandbox_id: sandbox.id })
        .execute();
      await db
        .insertInto('turn')
        .values({
          id: name,
          run_id: name,
          seq: 1,
          conversation_id: 'c',
          message_id: name,
          verb: 'edit',
          request: '',
          requested_by: '{}',
          state,
          ended_at: ended,
        })
        .execute();
      return sandbox;
    };
    const idle = await add('idle', 'done', ago(40));
    const recent = await add('recent', 'done', ago(10));
    const working = await add('working', 'working', null);
    const foreign = await make('of somebody else');

    using reaper = createReaper({ db, driver, idleMs: 30 * MINUTE_MS, log: silentLog });
    expect(await reaper.sweep()).toEqual([idle.id]);
    expect(await idle.state()).toBe('stopped');
    for (const sandbox of [recent, working, foreign]) expect(await sandbox.state()).toBe('running');
    expect(await reaper.sweep()).toEqual([]);
  });
});
