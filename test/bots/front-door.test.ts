import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { createFrontDoor, type FrontDoor } from '#bots/front-door.ts';

const app = new Hono()
  .get('/healthz', (context) => context.json({ status: 'of the app' }))
  .get('/readyz', (context) => context.json({ status: 'ready', missing: [] }))
  .post('/slack/events', async (context) => context.text(`took ${await context.req.text()}`));

const get = async (door: FrontDoor, path: string) => door.fetch(new Request(`http://comio${path}`), {});
const post = async (door: FrontDoor, body: string) =>
  door.fetch(new Request('http://comio/slack/events', { method: 'POST', body }), {});

describe('the front door', () => {
  it('says at once that the service is alive and not ready', async () => {
    const door = createFrontDoor();
    const health = await get(door, '/healthz');
    expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
    const ready = await get(door, '/readyz');
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'not ready', missing: ['starting'] }]);
  });

  it('keeps requests until the app is open, and then hands on every one with its body', async () => {
    const door = createFrontDoor();
    const answers = Promise.all(['a', 'b', 'c'].map((body) => post(door, body)));
    door.open(app);
    const texts = (await answers).map((answer) => answer.text());
    expect(await Promise.all(texts)).toEqual(['took a', 'took b', 'took c']);
  });

  it('refuses what exceeds its bound, and says when to come again', async () => {
    const door = createFrontDoor();
    const first = Array.from({ length: 256 }, (_, index) => post(door, String(index)));
    const late = await post(door, 'late');
    expect([late.status, late.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await get(door, '/healthz')).status).toBe(200);
    door.open(app);
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual(first.map(() => 200));
  });

  it('is out of the way once the app is open', async () => {
    const door = createFrontDoor();
    door.open(app);
    expect(await (await get(door, '/healthz')).json()).toEqual({ status: 'of the app' });
    expect(await (await get(door, '/readyz')).json()).toEqual({ status: 'ready', missing: [] });
    expect(await (await post(door, 'now')).text()).toBe('took now');
  });
});
