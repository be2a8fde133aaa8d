import { expect, it } from 'vitest';
import { statusView } from '#core/status-view.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { openTestDatabase } from '#test/support/database.ts';

it.each(['pglite', 'postgres'] as const)('what is deployed, wrong and waiting, on %s', async (kind) => {
  await using database = await openTestDatabase(kind);
  await using driver = createMemoryDriver();
  const { db } = database;
  const person = '{"id":"U1","name":"Ada","claims":[]}';
  await db
    .insertInto('project')
    .values({ id: 'p', name: 'shop', description: '', origin: 'imported', default_branch: 'main' })
    .execute();
  await db
    .insertInto('conversation')
    .values({ id: 'c', surface: 'slack', key: 'k', address: '{}', project_id: 'p' })
    .execute();
  await db
    .insertInto('environment')
    .values([
      { id: 'e1', project_id: 'p', name: 'production', host: 'shop', created_at: new Date(2) },
      { id: 'e2', project_id: 'p', name: 'staging', host: 'shop-staging', created_at: new Date(1) },
    ])
    .execute();
  await db
    .insertInto('release')
    .values({ id: 'r', project_id: 'p', commit_sha: '3f2a1bc9d01e', commit_message: 'Cache prices\n\nMore' })
    .execute();
  const deployment = { conversation_id: 'c', kind: 'deploy' as const, requested_by: person, phases: '[]' };
  await db
    .insertInto('deployment')
    .values([
      { ...deployment, id: 'd1', environment_id: 'e1', release_id: 'r', state: 'live', message_id: 'm1' },
      { ...deployment, id: 'd2', environment_id: 'e2', state: 'building', message_id: 'm2' },
    ])
    .execute();
  await db.updateTable('environment').set({ live_deployment_id: 'd1' }).where('id', '=', 'e1').execute();
  const incident = {
    project_id: 'p',
    conversation_id: 'c',
    severity: 'critical' as const,
    began_at: new Date(),
  };
  await db
    .insertInto('incident')
    .values([
      { ...incident, id: 'i1', fingerprint: 'f1', title: 'Slow orders', state: 'open' },
      { ...incident, id: 'i2', fingerprint: 'f2', title: 'Over', state: 'resolved', ended_at: new Date() },
    ])
    .execute();
  await db
    .insertInto('approval')
    .values({
      id: 'a',
      subject: 'deployment',
      subject_id: 'd2',
      digest: 'x',
      card: JSON.stringify({ title: 'Deploy to production?', tone: 'neutral', blocks: [], actions: [] }),
      conversation_id: 'c',
      required_role: 'operator',
      requested_by: person,
      four_eyes: true,
      state: 'pending',
      expires_at: new Date(Date.now() + 1000),
    })
    .execute();
  const look = (isPublic: boolean) =>
    statusView({
      db,
      database: kind,
      driver,
      surfaces: new Map(),
      startedAt: new Date(),
      version: '1',
      redact: (text) => text,
      isPublic,
    });
  const counts = { environments: 2, incidents: 1, approvals: 1 };
  expect(await look(false)).toMatchObject({
    counts,
    environments: [
      { project: 'shop', name: 'production', commit: { sha: '3f2a1bc' }, state: 'live' },
      { project: 'shop', name: 'staging', commit: undefined, state: 'deploying' },
    ],
    incidents: [{ project: 'shop', title: 'Slow orders', severity: 'critical' }],
    approvals: [{ project: 'shop', subject: 'Deploy to production?' }],
  });
  expect(await look(true)).toMatchObject({ counts, environments: [], incidents: [], approvals: [] });
});
