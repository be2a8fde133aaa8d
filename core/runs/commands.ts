import { type Card, textCard } from '../conversations/card.ts';
import {
  answer,
  audit,
  type Handler,
  type Handlers,
  type Said,
  type Scene,
  type Verdict,
} from '../conversations/handler.ts';
import { createProject, importProject, nameFor } from '../projects/projects.ts';
import type { TurnVerb } from '../store/schema.ts';
import { showTurn } from './journal.ts';
import { linkRun, queueTurn, type StartRunDeps, startRun, withReview } from './start-run.ts';
import { statusCard } from './status.ts';
import { oneLine } from './tools/truncate.ts';
import { OPEN, requestStop } from './turns.ts';

/** The verbs of runs, and what words that are no command begin. */
export function createRunCommands(deps: StartRunDeps): Handlers & { talk: Handler } {
  const { outbox } = deps;
  const say = (scene: Scene, card: Card): Promise<Verdict> => answer(outbox, scene, card);
  const warn = (scene: Scene, title: string, text: string): Promise<Verdict> =>
    say(scene, textCard(title, 'warning', text));

  async function create(scene: Scene, { args, options }: Said): Promise<Verdict> {
    if (scene.conversation.project_id !== null)
      return warn(scene, 'This thread has a project already', 'Start the new one in a thread of its own.');
    if (args === '')
      return warn(scene, 'What shall I build?', 'For instance: `new an API for cooking recipes with tests`');
    const project = await createProject(scene.trx, {
      name: nameFor(options.name ?? args),
      description: oneLine(args, 300),
    });
    return startRun(deps, scene, project, { verb: 'new', request: args, branch: project.default_branch });
  }

  async function takeIn(scene: Scene): Promise<Verdict> {
    const { place } = scene;
    if (scene.conversation.project_id !== null)
      return warn(scene, 'This thread has a project already', 'Import the other one in a thread of its own.');
    if (!place.repository)
      return warn(scene, 'Which repository?', place.problem ?? 'For instance: `import owner/name`');
    const project = await importProject(scene.trx, place.repository);
    return startRun(deps, scene, project, { verb: 'import', request: place.rest });
  }

  const work =
    (verb: TurnVerb) =>
    async (scene: Scene, { args }: Said): Promise<Verdict> => {
      const { trx, inbound, place, conversation, runId } = scene;
      // "fix it": without its verb the request would say nothing.
      const request = withReview(inbound, verb === 'fix' ? `fix ${args}`.trim() : args);
      if (runId !== null) {
        if (conversation.run_id === null) {
          const { project_id } = await trx
            .selectFrom('run')
            .select('project_id')
            .where('id', '=', runId)
            .executeTakeFirstOrThrow();
          await linkRun(trx, conversation.id, { id: runId, project_id });
        }
        return queueTurn(deps, scene, runId, verb, request);
      }
      if (place.repository) {
        const project = await importProject(trx, place.repository);
        return startRun(deps, scene, project, { verb, request, branch: place.pullRequest?.headBranch });
      }
      return warn(
        scene,
        'Which project is this about?',
        place.problem ??
          'Begin with `import owner/name` for a repository you have, or `new …` for one you have not.',
      );
    };

  async function stop(scene: Scene): Promise<Verdict> {
    const runId = scene.inbound.action ? await runOfTurn(scene, scene.inbound.action.value) : scene.runId;
    const by = scene.inbound.author.name;
    const turns = runId === null ? [] : await requestStop(scene.trx, runId, by, deps.onTurnEnded);
    if (runId === null || turns.length === 0) {
      // A second press, or a stop that came after the end, is not an error.
      return scene.inbound.action
        ? { outcome: 'answered', detail: 'nothing was running' }
        : say(scene, textCard('Nothing is running here', 'neutral'));
    }
    const run = await scene.trx
      .selectFrom('run')
      .selectAll()
      .where('id', '=', runId)
      .executeTakeFirstOrThrow();
    for (const turn of turns) {
      await showTurn(scene.trx, outbox, turn, run);
      await audit(scene, 'turn.stop', turn.id, {});
    }
    return { outcome: 'answered', stop: turns.map((turn) => turn.id) };
  }

  async function undo(scene: Scene, { args }: Said): Promise<Verdict> {
    const word = args.toLowerCase();
    if (word === 'keep') return say(scene, textCard('Kept as it is', 'neutral'));
    if (scene.runId === null)
      return say(scene, textCard('Nothing to undo', 'neutral', 'No run belongs to this thread.'));
    return queueTurn(deps, scene, scene.runId, word === 'confirm' ? 'undo-confirm' : 'undo', 'undo');
  }

  const operator = (handle: Handler['handle']): Handler => ({ role: 'operator', handle });
  return {
    verbs: {
      new: operator(create),
      import: operator(takeIn),
      ask: operator(work('ask')),
      edit: operator(work('edit')),
      fix: operator(work('fix')),
      stop: operator(stop),
      undo: operator(undo),
      status: {
        role: 'viewer',
        handle: async (scene) => say(scene, await statusCard(scene.trx, scene.runId)),
      },
    },
    actions: {
      stop: operator(stop),
      'undo-confirm': operator((scene) => undo(scene, { args: 'confirm', options: {} })),
      'undo-keep': operator((scene) => undo(scene, { args: 'keep', options: {} })),
    },
    talk: operator((scene) => work('edit')(scene, { args: scene.inbound.text, options: {} })),
  };
}

/**
 * The word means whatever is open in the thread's run, a card's button the turn of that card, whose run the thread may
 * have left since: pressed late, it stops no later one. null: the turn is not open, or not of this thread.
 */
async function runOfTurn({ trx, conversation }: Scene, turnId: string): Promise<string | null> {
  const open = await trx
    .selectFrom('turn')
    .select('run_id')
    .where('id', '=', turnId)
    .where('conversation_id', '=', conversation.id)
    .where('state', 'in', [...OPEN])
    .executeTakeFirst();
  return open?.run_id ?? null;
}
