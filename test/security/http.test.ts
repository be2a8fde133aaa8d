import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServiceWorld, type ServiceWorld } from '../support/service-world.ts';

const script = { scenarios: [{ name: 'nothing', when: 'nothing', steps: [{ text: 'Nothing.' }] }] };
const WARN = 40;

describe('what strangers send', () => {
  let world: ServiceWorld;
  beforeAll(async () => {
    world = await createServiceWorld({ script });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const warnings = () => world.service.records.filter(({ level }) => Number(level) >= WARN);

  it.each(['/slack/events', '/github/webhooks'])('is not read past what %s takes', async (path) => {
    const { url } = world.service;
    const before = warnings().length;
    const whole = await fetch(`${url}${path}`, { method: 'POST', body: 'x'.repeat(5 * 1024 * 1024) });
    expect(whole.status).toBe(413);
    const chunk = new Uint8Array(65_536);
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 1;
        if (sent > 4000) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const answer = await fetch(`${url}${path}`, { method: 'POST', body: endless, duplex: 'half' }).then(
      ({ status }) => status,
      () => 'cut off',
    );
    expect([413, 'cut off']).toContain(answer);
    expect(sent).toBeLessThan(4000);
    expect(warnings()).toHaveLength(before);
  });

  it('fills no log when it is given up halfway', async () => {
    const before = warnings().length;
    const port = Number(new URL(world.service.url).port);
    for (let count = 0; count < 50; count += 1) {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write('POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{');
      await new Promise((resolve) => setTimeout(resolve, 5));
      socket.destroy();
    }
    await expect
      .poll(() => world.service.records.filter(({ msg }) => String(msg).includes('given up by')).length)
      .toBe(50);
    expect(warnings()).toHaveLength(before);
  });

  it('asks the database once for many who open the page', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, async () => await (await fetch(world.service.url)).text()),
    );
    const seen = new Set(answers.map((page) => /datetime="([^"]+)"/.exec(page)?.[1]));
    // Each second shows one moment.
    expect(seen.size).toBeLessThan(10);
  });
});
