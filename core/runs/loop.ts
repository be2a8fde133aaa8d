import type { Kysely, Selectable } from 'kysely';
import { type Completion, complete, type Provider } from '#adapters/llm/llm.ts';
import type { Logger } from '#observability/log.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import type { PathPolicy } from '../policy/denied-paths.ts';
import type { ProjectTable, Schema, TurnVerb } from '../store/schema.ts';
import { conversationOf, type ToolStepInput, toolStepFor } from './context.ts';
import { openGaps, remediationGaps } from './gaps.ts';
import type { Journal, Step } from './journal.ts';
import { liveDetail } from './live-detail.ts';
import { systemPrompt } from './prompt.ts';
import { parseToolInput, toolDefinitions } from './tools/definitions.ts';
import { tools } from './tools/index.ts';
import type { Fact, Tool, ToolContext, ToolResult } from './tools/tool.ts';
import { oneLine } from './tools/truncate.ts';
import type { Turn } from './turns.ts';

export interface LoopDeps {
  db: Kysely<Schema>;
  provider: Provider;
  model: string;
  redact: (text: string) => string;
  network: boolean;
  maxSteps: number;
  policy: PathPolicy;
  /** Resolves once the turn's checkpoint is recorded; no tool runs before. */
  undoable: () => Promise<void>;
  publish: (
    request: { title: string; body: string },
    intent: ToolContext['intent'],
  ) => Promise<Extract<Fact, { type: 'publish' }>>;
  log: Logger;
}

const MAX_OUTPUT_TOKENS = 16_000;
const OUTPUT_TAIL = 160;

export interface Signals {
  /** A person asked to stop: whatever runs is killed. */
  stop: AbortSignal;
  /** `stop`, or this process must let go of the turn: commands run on and are taken up again by whoever resumes. */
  work: AbortSignal;
}

export type LoopEnd = { reason: 'finished' | 'step_limit'; words: string };

/**
 * Model, tools, model, tools, until the model has nothing more to call. Resumes from the journal: a model answer that
 * was recorded is not asked for again, and a tool call that was recorded as begun is executed with the same key, which
 * makes its effect happen once.
 */
export async function runLoop(
  deps: LoopDeps,
  journal: Journal,
  sandbox: Sandbox,
  project: Selectable<ProjectTable>,
  signals: Signals,
): Promise<LoopEnd> {
  const { verb } = journal.turn;
  const allowed = toolsFor(verb);
  const history = await earlierTurns(deps.db, journal.turn);
  for (;;) {
    const last = journal.steps.findLast((step) => step.kind === 'model' && step.state === 'done');
    const answer = last?.output as Completion | undefined;
    if (last && answer) {
      await deps.undoable();
      for (const [index, call] of answer.toolCalls.entries()) {
        const input: ToolStepInput = { modelSeq: last.seq, index, call };
        await executeCall(deps, journal, sandbox, allowed, input, signals);
      }
    }
    const steered = await journal.applySteering();
    const saidAfter = journal.steps.some(
      (step) => (step.kind === 'steer' || step.kind === 'nudge') && step.seq > (last?.seq ?? 0),
    );
    if (answer && answer.toolCalls.length === 0 && steered === 0 && !saidAfter) {
      const gaps = await gapsBeforeFinish(journal, sandbox, verb);
      if (gaps === undefined) return { reason: 'finished', words: answer.text };
      const nudge = await journal.begin('nudge', 'Checking that the work is complete', {
        author: 'Comio',
        text: gaps,
      });
      await journal.end(nudge, { state: 'done', summary: 'Asked to complete the work' });
    }
    const asked = journal.steps.filter((step) => step.kind === 'model' && step.state === 'done').length;
    if (asked >= deps.maxSteps) return { reason: 'step_limit', words: answer?.text ?? '' };
    await askModel(deps, journal, history, allowed, project, signals.work);
  }
}

/** What the model left open, told to it once per turn; undefined when nothing is, or when it was told. */
async function gapsBeforeFinish(
  journal: Journal,
  sandbox: Sandbox,
  verb: TurnVerb,
): Promise<string | undefined> {
  if (verb === 'ask' || journal.steps.some((step) => step.kind === 'nudge')) return undefined;
  const { files } = await git.status(sandbox);
  const facts = factsOf(journal.steps);
  return verb === 'remediate'
    ? remediationGaps(facts)
    : openGaps(
        facts,
        files.map((file) => file.path),
      );
}

async function askModel(
  deps: LoopDeps,
  journal: Journal,
  history: readonly { turn: Turn; steps: readonly Step[] }[],
  allowed: readonly Tool[],
  project: Selectable<ProjectTable>,
  signal: AbortSignal,
): Promise<void> {
  const open = journal.steps.find((step) => step.kind === 'model' && step.state === 'started');
  const step = open ?? (await journal.begin('model', 'Thinking', null));
  const completion = await complete(deps.provider, {
    model: deps.model,
    system: systemPrompt({
      project,
      branch: journal.run.branch,
      verb: journal.turn.verb,
      network: deps.network,
    }),
    messages: conversationOf([...history, { turn: journal.turn, steps: journal.steps }]),
    tools: toolDefinitions(allowed),
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    signal,
  });
  await journal.end(step, {
    state: 'done',
    summary: oneLine(completion.text, 120) || 'Decided what to do next',
    output: completion,
  });
}

async function executeCall(
  deps: LoopDeps,
  journal: Journal,
  sandbox: Sandbox,
  allowed: readonly Tool[],
  input: ToolStepInput,
  signals: Signals,
): Promise<void> {
  const earlier = toolStepFor(journal.steps, input.modelSeq, input.index);
  if (earlier && earlier.state !== 'started') return;
  const tool = allowed.find((candidate) => candidate.name === input.call.name);
  const parsed = tool ? parseToolInput(tool, input.call.input) : undefined;
  const title = tool && parsed?.ok ? tool.title(parsed.input) : `Calling ${oneLine(input.call.name, 40)}`;
  const step = earlier ?? (await journal.begin('tool', deps.redact(title), input));
  let result: ToolResult;
  if (!tool) {
    result = refusal(
      `There is no tool "${input.call.name}". There are: ${allowed.map(({ name }) => name).join(', ')}.`,
    );
  } else if (!parsed?.ok) result = refusal(parsed?.message ?? 'The arguments are not valid.');
  else {
    const live = liveDetail(journal, step);
    const context = contextFor(deps, journal, sandbox, step, signals.stop, live.show);
    try {
      result = await unless(signals.work, tool.execute(parsed.input, context));
    } finally {
      await live.settle();
    }
  }
  // A killed command has a result too, but that is not the answer to the call.
  signals.work.throwIfAborted();
  await journal.end(step, {
    state: result.isError ? 'failed' : 'done',
    summary: deps.redact(result.summary),
    output: JSON.parse(deps.redact(JSON.stringify(result))),
  });
}

/** What killing a command may take before it is no longer waited for, in milliseconds. */
const KILL_MS = 500;

/** Rejects when the signal aborts, having left the work a moment to end by itself. */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const abort = () => {
    timer = setTimeout(() => reject(signal.reason), KILL_MS);
  };
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

const refusal = (content: string): ToolResult => ({
  content,
  isError: true,
  summary: 'Call refused',
  facts: [],
});

function contextFor(
  deps: LoopDeps,
  journal: Journal,
  sandbox: Sandbox,
  step: Step,
  signal: AbortSignal,
  show: (text: string) => void,
): ToolContext {
  let tail = '';
  const intent: ToolContext['intent'] = {
    previous: step.intent ?? undefined,
    record: (note) => journal.note(step, note),
  };
  return {
    sandbox,
    key: `${step.turn_id}:${step.seq}`,
    signal,
    onOutput: (text) => {
      tail = (tail + text).slice(-OUTPUT_TAIL);
      show(deps.redact(tail.trimEnd().split('\n').at(-1) ?? ''));
    },
    intent,
    policy: deps.policy,
    base: journal.run.base_sha ?? undefined,
    facts: factsOf(journal.steps),
    author: { name: 'Comio', email: 'comio@users.noreply.github.com' },
    publish: (request) => deps.publish(request, intent),
  };
}

/** A fix that nobody asked for is proposed; everything else may be published. */
const toolsFor = (verb: TurnVerb): readonly Tool[] => {
  const { reproduce, propose, publish, scaffold_project, ...common } = tools;
  const all: readonly Tool[] = Object.values(common);
  if (verb === 'ask') return all.filter((tool) => tool.effect === 'read');
  return [...all, ...(verb === 'remediate' ? [reproduce, propose] : [scaffold_project, publish])];
};

/** Facts of a turn's tool steps, in order. */
export const factsOf = (steps: readonly Step[]): Fact[] =>
  steps.flatMap((step) => (step.kind === 'tool' ? ((step.output as ToolResult | null)?.facts ?? []) : []));

/** Turns of the run before this one that count as its memory. */
async function earlierTurns(db: Kysely<Schema>, turn: Turn): Promise<{ turn: Turn; steps: Step[] }[]> {
  const turns = await db
    .selectFrom('turn')
    .selectAll()
    .where('run_id', '=', turn.run_id)
    .where('seq', '<', turn.seq)
    .where('state', 'in', ['done', 'failed', 'stopped'])
    .where('verb', 'in', ['new', 'import', 'ask', 'edit', 'fix', 'remediate'])
    .orderBy('seq')
    .execute();
  const steps = await db
    .selectFrom('step')
    .selectAll()
    .where('turn_id', 'in', turns.map((t) => t.id).concat(''))
    .orderBy('seq')
    .execute();
  return turns.map((t) => ({ turn: t, steps: steps.filter((step) => step.turn_id === t.id) }));
}
