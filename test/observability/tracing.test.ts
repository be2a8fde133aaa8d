import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { createLogger } from '#observability/log.ts';
import { createRedactor } from '#observability/redact.ts';
import { openTracing } from '#observability/tracing.ts';
import { testComio } from '#test/support/comio.ts';
import { greeting, worked } from './greeting.ts';
import { createOtlpPeer, type ReceivedSpan } from './otlp-peer.ts';

it('sends one trace of a request: receipt, jobs, turn, model calls, tool calls', async () => {
  await using peer = await createOtlpPeer();
  {
    await using world = await testComio({
      script: greeting,
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: peer.url, OTEL_EXPORTER_OTLP_HEADERS: 'x-team=the%20shop' },
    });
    await worked(world.chat);
  }
  // What was left was sent when the service ended.
  const named = (name: string): ReceivedSpan[] => peer.spans.filter((span) => span.name === name);
  const only = (name: string): ReceivedSpan => {
    const [first, ...rest] = named(name);
    if (!first || rest.length > 0) throw new Error(`${name}: not once in ${peer.spans.map((s) => s.name)}`);
    return first;
  };
  const parent = (span: ReceivedSpan | undefined) =>
    peer.spans.find(({ spanId }) => spanId === span?.parentSpanId)?.name;

  const received = only('receive slack');
  expect(received.parentSpanId ?? '').toBe('');
  expect(received.attributes).toMatchObject({ 'comio.surface': 'slack', 'comio.result': 'claimed' });
  expect(parent(only('job inbox'))).toBe('receive slack');
  const turn = only('turn new');
  expect(parent(turn)).toBe('job run');
  expect(parent(named('job run').find(({ spanId }) => spanId === turn.parentSpanId))).toBe('job inbox');
  expect(parent(only('start sandbox'))).toBe('turn new');
  const tool = only('execute_tool create_file');
  expect(parent(tool)).toBe('turn new');
  expect(tool.attributes).toMatchObject({
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': 'create_file',
  });
  const calls = named('chat scripted');
  expect(calls.length).toBeGreaterThan(1);
  for (const call of calls) {
    expect(parent(call)).toBe('turn new');
    expect(call.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'scripted',
      'gen_ai.request.model': 'scripted',
      'gen_ai.usage.input_tokens': expect.any(Number),
      'gen_ai.usage.output_tokens': expect.any(Number),
      'gen_ai.response.finish_reasons': [expect.any(String)],
    });
  }
  expect(new Set([received, turn, tool, ...calls].map(({ traceId }) => traceId)).size).toBe(1);
  expect(turn.resource).toMatchObject({ 'service.name': 'comio', 'service.version': '0.1.0' });
  expect(peer.headers[0]).toMatchObject({ 'x-team': 'the shop' });
  // What people and models wrote is in no span.
  expect(JSON.stringify(peer.spans)).not.toMatch(/greeting|hello/);
});

it('marks what failed by its code, and gives later work a trace of its own that points back', async () => {
  await using peer = await createOtlpPeer();
  const settings = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `${peer.url}/`,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20sesame-open-up',
    OTEL_SERVICE_NAME: 'mine',
  };
  const redact = createRedactor([]);
  let asked: string | undefined;
  {
    await using tracing = await openTracing(settings, { version: '9', log: createLogger('silent'), redact });
    const failing = tracing.span('fails', {}, async () => {
      asked = tracing.traceparent();
      throw Object.assign(new Error('words of somebody'), { code: 'too_large' });
    });
    await expect(failing).rejects.toThrow('words of somebody');
    await tracing.span('later', { link: asked }, async () => undefined);
    await tracing.span('elsewhere', { parent: 'no traceparent' }, async () => undefined);
  }
  const [fails, later, elsewhere] = ['fails', 'later', 'elsewhere'].map((name) =>
    peer.spans.find((span) => span.name === name),
  );
  expect(fails).toMatchObject({ status: { code: 2 }, attributes: { 'error.type': 'too_large' } });
  expect(JSON.stringify(peer.spans)).not.toContain('somebody');
  expect(later?.traceId).not.toBe(fails?.traceId);
  expect(later).toMatchObject({ links: [{ traceId: fails?.traceId, spanId: fails?.spanId }] });
  expect(elsewhere?.parentSpanId ?? '').toBe('');
  expect(later?.resource).toMatchObject({ 'service.name': 'mine', 'service.version': '9' });
  expect(redact('the header said Bearer sesame-open-up')).toBe('the header said [redacted]');
});

it('outlives a receiver that is away, and says so', async () => {
  const peer = await createOtlpPeer();
  await peer[Symbol.asyncDispose]();
  const said: unknown[] = [];
  const note = (fields: object, message: string) => void said.push([message, JSON.stringify(fields)]);
  const log = { debug: note, info: note, warn: note, error: note, child: () => log };
  const settings = {
    OTEL_EXPORTER_OTLP_ENDPOINT: peer.url,
    OTEL_EXPORTER_OTLP_HEADERS: undefined,
    OTEL_SERVICE_NAME: 'comio',
  };
  {
    await using tracing = await openTracing(settings, { version: '1', log, redact: createRedactor([]) });
    expect(await tracing.span('works', {}, async () => 7)).toBe(7);
  }
  expect(said).toEqual([['the last traces were not delivered', expect.anything()]]);
});

it('loads nothing of the SDK where no receiver is configured', () => {
  const script = `
    const { registerHooks } = await import('node:module');
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const { openTracing, noTracing } = await import('#observability/tracing.ts');
    await import('#core/comio.ts');
    const settings = { OTEL_SERVICE_NAME: 'comio' };
    const none = await openTracing(settings, {});
    const sdk = () => loaded.filter((url) => /@opentelemetry.(sdk|exporter|otlp|resources|core)/.test(url)).length;
    const before = sdk();
    await openTracing({ ...settings, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }, { version: '1' });
    console.log(JSON.stringify({ none: none === noTracing, before, after: sdk() > 0 }));
    process.exit(0);`;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: new URL('../..', import.meta.url).pathname,
    encoding: 'utf8',
  });
  expect(JSON.parse(output)).toEqual({ none: true, before: 0, after: true });
});
