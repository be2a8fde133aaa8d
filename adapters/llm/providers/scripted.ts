import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { LlmError, type ModelMessage, type ModelRequest, type Provider, type ToolCall } from '../llm.ts';
import type { ProviderFactory } from '../provider-factory.ts';
import {
  NUMBER,
  PLACEHOLDER,
  type Scenario,
  type Script,
  type ScriptCondition,
  type ScriptStep,
  scriptSchema,
} from './scripted-format.ts';

/*
 * A pretended model for the demo and for tests. It keeps no state: its answer follows from the messages of the request
 * alone, so a run that is resumed in another process, or runs beside others, gets the answers it should.
 */

export const env = {
  LLM_SCRIPT: {
    schema: z.string().min(1).optional(),
    help: 'JSON file the scripted model plays (format: adapters/llm/providers/scripted-format.ts).',
  },
};

export const scripted = {
  env,
  defaultModel: 'scripted',
  configured: (settings) => settings.LLM_SCRIPT !== undefined,
  create: (settings) => createScripted(readScript(settings.LLM_SCRIPT)),
} satisfies ProviderFactory<typeof env>;

/** Throws `bad_request` when there is no such file or it is no JSON. */
function readScript(path: string | undefined): unknown {
  if (path === undefined)
    throw new LlmError('bad_request', 'The scripted model needs a script: set LLM_SCRIPT.');
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LlmError('bad_request', `The script ${path} cannot be read: ${why}`, { cause: error });
  }
}

/** Throws `bad_request` naming every place where `script` departs from the format. */
export function createScripted(script: unknown): Provider {
  const parsed = scriptSchema.safeParse(script);
  if (!parsed.success) {
    throw new LlmError(
      'bad_request',
      `The script of the scripted model is wrong:\n${z.prettifyError(parsed.error)}`,
    );
  }
  return {
    name: 'scripted',
    async *stream(request) {
      const { text, toolCalls, delayMs } = answerTo(parsed.data, request.messages);
      const pieces = text.match(/.{1,24}(?:\s|$)|.{1,24}/gs) ?? [];
      const waits = Math.max(1, pieces.length);
      for (let index = 0; index < waits; index++) {
        await pause(delayMs / waits, request.signal);
        const piece = pieces[index];
        if (piece !== undefined) yield { type: 'text', text: piece };
      }
      const calls = toolCalls.map((call, index): ToolCall => ({ id: callId(request, index), ...call }));
      for (const call of calls) {
        if (request.signal?.aborted) throw aborted();
        yield { type: 'tool_call', call };
      }
      yield {
        type: 'end',
        stop: calls.length > 0 ? 'tool_calls' : 'end',
        usage: { input: tokens(request), output: tokens([text, toolCalls]), cacheRead: 0, cacheWrite: 0 },
      };
    },
  };
}

const callId = (request: ModelRequest, index: number) => `scripted_${request.messages.length}_${index}`;

/** About four characters each, as vendors say of English. */
const tokens = (value: unknown) => Math.ceil(JSON.stringify(value).length / 4);

const aborted = () => new LlmError('aborted', 'The request to the scripted model was stopped.');

async function pause(ms: number, signal: AbortSignal | undefined) {
  if (signal?.aborted) throw aborted();
  if (ms === 0) return;
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    throw signal?.aborted ? aborted() : error;
  }
}

interface Answer {
  text: string;
  toolCalls: { name: string; input: unknown }[];
  delayMs: number;
}

function answerTo(script: Script, messages: readonly ModelMessage[]): Answer {
  const place = replay(script, messages);
  if (place === undefined) {
    const known = script.scenarios.map(({ name }) => `“${name}”`).join(', ');
    const text = `I am a scripted model and know no such request. I know: ${known}.`;
    return { text, toolCalls: [], delayMs: 0 };
  }
  const { scenario, step, since } = place;
  const chosen = step?.variants.find(({ when }) => holds(when, since)) ?? step;
  // A step must say or do something, or the answer would be empty.
  const text = chosen?.text ?? (chosen?.toolCalls.length ? '' : scenario.final);
  const fill = filler(scenario, since);
  return {
    text: fill(text),
    toolCalls: (chosen?.toolCalls ?? []).map(({ name, input }) => ({ name, input: fillAll(input, fill) })),
    delayMs: step?.delayMs ?? 0,
  };
}

interface Place {
  scenario: Scenario;
  /** undefined when all are used. */
  step: ScriptStep | undefined;
  /** The messages from the one that started the scenario on. */
  since: readonly ModelMessage[];
}

/** Plays the conversation so far again, to where it stands. */
function replay(script: Script, messages: readonly ModelMessage[]): Place | undefined {
  let scenario: Scenario | undefined;
  let ahead: ScriptStep[] = [];
  let start = 0;
  let ended = false;
  for (const [index, message] of messages.entries()) {
    if (message.role === 'assistant') {
      ahead.shift();
      ended = message.toolCalls.length === 0;
    }
    if (message.role !== 'user') continue;
    const steering = scenario?.steering.find(({ pattern }) => pattern.test(message.content));
    if (steering !== undefined) {
      ahead.unshift(...steering.steps);
      continue;
    }
    const next = script.scenarios.find(({ when }) => when.test(message.content));
    if (next === undefined) {
      // A new request after the end is none of the scenario's, unless Comio itself asks to complete it.
      if (ended && !message.content.startsWith('Comio: ')) scenario = undefined;
      continue;
    }
    scenario = next;
    ended = false;
    ahead = [...next.steps];
    start = index;
  }
  return scenario && { scenario, step: ahead[0], since: messages.slice(start) };
}

function holds(when: ScriptCondition, since: readonly ModelMessage[]): boolean {
  const last = since.findLast((message) => message.role === 'tool');
  if (when.lastToolMatches && !(last && when.lastToolMatches.test(last.content))) return false;
  if (when.lastToolIsError !== undefined && last?.isError !== when.lastToolIsError) return false;
  const { steered } = when;
  return !steered || since.slice(1).some(({ role, content }) => role === 'user' && steered.test(content));
}

/** Throws `bad_request` for a capture that has found nothing yet. */
const filler = (scenario: Scenario, since: readonly ModelMessage[]) => (text: string) =>
  text.replace(PLACEHOLDER, (_, name: string) => {
    const pattern = scenario.captures[name];
    const found = since
      .filter(({ role }) => role !== 'assistant')
      .map(({ content }) => pattern?.exec(content)?.[1])
      .findLast((value) => value !== undefined);
    if (found === undefined)
      throw new LlmError('bad_request', `The script's {{${name}}} has matched nothing yet.`);
    return found;
  });

function fillAll(value: unknown, fill: (text: string) => string): unknown {
  if (typeof value === 'string') {
    const [, number] = NUMBER.exec(value) ?? [];
    return number === undefined ? fill(value) : Number(fill(`{{${number}}}`));
  }
  if (Array.isArray(value)) return value.map((item) => fillAll(item, fill));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillAll(item, fill)]));
}
