import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createApp } from '../src/app.ts';

let server: Server;
let base: string;

beforeEach(async () => {
  server = createServer(createApp());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function send(method: string, path: string, body?: unknown) {
  const response = await fetch(base + path, {
    method,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

test('is healthy', async () => {
  assert.deepEqual(await send('GET', '/healthz'), { status: 200, body: { status: 'ok' } });
});

describe('items', () => {
  test('can be created, listed, shown, replaced and removed', async () => {
    assert.deepEqual(await send('GET', '/items'), { status: 200, body: [] });
    const created = await send('POST', '/items', { name: ' first ' });
    assert.equal(created.status, 201);
    assert.equal(created.body.name, 'first');
    const path = `/items/${created.body.id}`;
    assert.deepEqual(await send('GET', path), { status: 200, body: created.body });
    assert.deepEqual((await send('GET', '/items')).body, [created.body]);
    const replaced = await send('PUT', path, { name: 'second' });
    assert.deepEqual(replaced, { status: 200, body: { id: created.body.id, name: 'second' } });
    assert.deepEqual(await send('DELETE', path), { status: 204, body: undefined });
    assert.equal((await send('GET', path)).status, 404);
  });

  test('need a name', async () => {
    for (const body of [{}, { name: ' ' }, { name: 1 }, [], '"text"', '{']) {
      const { status, body: answer } = await send('POST', '/items', body);
      assert.equal(status, 400);
      assert.equal(typeof answer.error, 'string');
    }
  });

  test('that do not exist are not found', async () => {
    assert.equal((await send('GET', '/items/none')).status, 404);
    assert.equal((await send('PUT', '/items/none', { name: 'a' })).status, 404);
    assert.equal((await send('DELETE', '/items/none')).status, 404);
  });
});

test('says what it does not know', async () => {
  assert.equal((await send('GET', '/nothing')).status, 404);
  assert.equal((await send('PATCH', '/items')).status, 405);
  assert.equal((await send('GET', '/items/%')).status, 400);
});
