import { expect, it, vi } from 'vitest';
import { createLogger } from '#observability/log.ts';

it('tells of an error what went wrong and where, and nothing of what it was about', () => {
  const written: string[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((line) => {
    written.push(String(line));
    return true;
  });
  try {
    const database = Object.assign(new Error('value too long'), {
      code: '22001',
      query: 'insert …',
      params: ['what somebody said'],
      detail: 'Failing row contains (what somebody said).',
    });
    const request = { body: { text: 'what somebody said' }, headers: { authorization: 'token' } };
    const outer = Object.assign(new Error('not sent', { cause: database }), { status: 422, request });
    const log = createLogger('info');
    log.error({ err: outer }, 'a');
    log.error({ error: outer }, 'b');
    log.warn({ err: 'plain', error: undefined }, 'c');
  } finally {
    write.mockRestore();
  }
  const text = written.join('');
  expect(text).not.toMatch(/what somebody said|"query"|authorization/);
  const [first] = written.map((line) => JSON.parse(line));
  expect(first.err).toMatchObject({
    type: 'Error',
    message: 'not sent',
    status: 422,
    cause: { message: 'value too long', code: '22001' },
  });
  expect(first.err.stack).toContain('log.test.ts');
  expect(JSON.parse(written[2] ?? '{}')).toMatchObject({ err: 'plain' });
});
