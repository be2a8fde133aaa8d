import { LLMock } from '@copilotkit/aimock';
import type { Provider } from '#adapters/llm/llm.ts';
import { deadAddress, type PeerAnswer, startLlmPeer } from '#test/peers/llm-http.ts';
import { type LlmHarness, type Prepared, TEXT, TOOL_CALLS } from './llm.ts';
import type { Wire } from './llm-wire.ts';

/** All situations of a provider that speaks HTTP: against aimock, and against our own peer for what aimock cannot do. */
export function httpHarness(connect: (url: string) => Provider, wire: Wire): LlmHarness {
  const model = 'm';

  const mocked = async (arrange: (mock: LLMock) => void): Promise<Prepared> => {
    const mock = new LLMock({ port: 0, host: '127.0.0.1', chunkSize: 8 });
    arrange(mock);
    await mock.start();
    return {
      provider: connect(mock.url),
      model,
      toolResults: () => toolContents(mock.getLastRequest()?.body),
      [Symbol.asyncDispose]: () => mock.stop(),
    };
  };
  const failing = (status: number, type: string, retryAfter?: number) => () =>
    mocked((mock) =>
      mock.on({}, { error: { message: 'No', type }, status, ...(retryAfter ? { retryAfter } : {}) }),
    );

  const served = async (answer: (path: string, body: unknown) => PeerAnswer): Promise<Prepared> => {
    const peer = await startLlmPeer((path, body) => {
      const said = answer(path, body);
      return said.status === undefined ? { ...said, headers: { 'content-type': wire.contentType } } : said;
    });
    const { hungUp } = peer;
    return {
      provider: connect(peer.url),
      model,
      hungUp,
      usage: wire.usage,
      [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
    };
  };
  const serving =
    (chunks: string[], then: PeerAnswer['then'] = 'end') =>
    () =>
      served(() => ({ chunks, then }));

  return {
    text: () => mocked((mock) => mock.on({}, { content: TEXT })),
    tool_loop: () => mocked(toolLoop),
    usage: serving([...wire.begin('Hello'), ...wire.end]),
    cancel: serving(wire.begin('Hello'), 'hold'),
    cancel_early: serving([], 'hold'),
    abandoned: serving(wire.begin('Hello'), 'hold'),
    rate_limited: failing(429, 'rate_limit_error', 7),
    overloaded_503: failing(503, 'overloaded_error'),
    overloaded_529: failing(529, 'overloaded_error'),
    server_error: failing(500, 'api_error'),
    failed_mid_stream: serving([...wire.begin('Hello'), wire.failure]),
    cut_off: () =>
      mocked((mock) =>
        mock.on(
          {},
          { content: TEXT.repeat(20) },
          { truncateAfterChunks: 3, streamingProfile: { ttft: 1, tps: 200 } },
        ),
      ),
    ended_early: serving(wire.begin('Hello')),
    malformed: serving([...wire.begin('Hello'), wire.notJson, ...wire.end]),
    wrong_shape: serving([...wire.begin('Hello'), wire.wrongShape, ...wire.end]),
    wrong_key: () => served(() => wire.errors.wrong_key),
    no_credit: () => served(() => wire.errors.no_credit),
    bad_request: () => served(() => wire.errors.bad_request),
    unknown_model: () => served(() => wire.errors.unknown_model),
    context_overflow: () => served(wire.overflow),
    empty_answer: serving(wire.empty),
    nobody_there: async () => ({
      provider: connect(await deadAddress()),
      model,
      [Symbol.asyncDispose]: async () => undefined,
    }),
  };
}

interface SeenMessage {
  role: string;
  content: unknown;
}

const toolContents = (body: unknown): string[] => {
  if (typeof body !== 'object' || body === null || !('messages' in body) || !Array.isArray(body.messages))
    return [];
  const messages: SeenMessage[] = body.messages;
  return messages.flatMap(({ role, content }) => (role === 'tool' ? [String(content)] : []));
};

/** Each turn is chosen by how many results came back, so a result that is lost on the way shows. */
function toolLoop(mock: LLMock): void {
  const turns = [
    { results: 0, calls: TOOL_CALLS.first },
    { results: 2, calls: TOOL_CALLS.second },
  ];
  for (const { results, calls } of turns) {
    mock.on(
      { predicate: (request) => toolContents(request).length === results },
      {
        content: 'Let me see.',
        toolCalls: calls.map(({ name, input }) => ({ name, arguments: JSON.stringify(input) })),
      },
    );
  }
  mock.on({ predicate: (request) => toolContents(request).length === 3 }, { content: TOOL_CALLS.final });
}
