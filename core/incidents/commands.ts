import type { Card } from '../conversations/card.ts';
import { textCard } from '../conversations/card.ts';
import {
  answer,
  audit,
  type Handlers,
  type Said,
  type Scene,
  type Verdict,
} from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { toJson } from '../store/storable.ts';
import { minuteOf, STATE_WORDS } from './incident-card.ts';
import { type Incident, showIncident } from './incidents.ts';
import { literal } from './literal.ts';

const MAX_LISTED = 10;

/** The verb `incidents`, and what people think of a diagnosis. */
export function createIncidentCommands({ outbox }: { outbox: Outbox }): Handlers {
  async function list(scene: Scene): Promise<Verdict> {
    const projectId = scene.conversation.project_id;
    if (projectId === null)
      return answer(
        outbox,
        scene,
        textCard(
          'Which project?',
          'warning',
          'No project belongs to this thread. Ask in one of its threads.',
        ),
      );
    const incidents = await scene.trx
      .selectFrom('incident')
      .selectAll()
      .where('project_id', '=', projectId)
      .orderBy((eb) => eb('ended_at', 'is', null), 'desc')
      .orderBy('opened_at', 'desc')
      .limit(MAX_LISTED)
      .execute();
    return answer(outbox, scene, listCard(incidents));
  }

  const vote =
    (value: 1 | -1) =>
    async (scene: Scene, { args }: Said): Promise<Verdict> => {
      const { trx, inbound } = scene;
      const diagnosis = await trx
        .selectFrom('diagnosis')
        .select(['id', 'incident_id'])
        .where('id', '=', args)
        .executeTakeFirst();
      if (!diagnosis) return answer(outbox, scene, textCard('There is no such diagnosis', 'warning'));
      const person = { person: toJson(inbound.author), value };
      await trx
        .insertInto('feedback')
        .values({
          subject: 'diagnosis',
          subject_id: diagnosis.id,
          person_id: `${inbound.conversation.surface}:${inbound.author.id}`,
          ...person,
        })
        .onConflict((conflict) =>
          conflict
            .columns(['subject', 'subject_id', 'person_id'])
            .doUpdateSet({ ...person, created_at: new Date() }),
        )
        .execute();
      await audit(scene, 'diagnosis.feedback', diagnosis.id, { value });
      await showIncident(trx, outbox, diagnosis.incident_id);
      return {
        outcome: 'answered',
        detail: value === 1 ? 'the diagnosis helped' : 'the diagnosis did not help',
      };
    };

  return {
    verbs: { incidents: { role: 'viewer', handle: list } },
    actions: {
      'feedback-up': { role: 'viewer', handle: vote(1) },
      'feedback-down': { role: 'viewer', handle: vote(-1) },
    },
  };
}

function listCard(incidents: readonly Incident[]): Card {
  if (incidents.length === 0)
    return textCard('No incidents', 'success', 'Nothing was wrong with this project so far.');
  const open = incidents.filter(({ ended_at }) => ended_at === null).length;
  const lines = incidents.map(({ title, state, severity, began_at, ended_at }) => {
    const over = ended_at ? `, over ${minuteOf(ended_at)}` : '';
    return `- **${literal(oneLine(title, 120))}** (${severity}): ${STATE_WORDS[state].toLowerCase()}; since ${minuteOf(began_at)}${over}`;
  });
  return textCard(
    open === 0 ? 'Nothing is wrong now' : `${open} open ${open === 1 ? 'incident' : 'incidents'}`,
    open === 0 ? 'success' : 'warning',
    lines.join('\n'),
  );
}
