import { expect, it } from 'vitest';
import { renderCard as onDiscord } from '#bots/discord/render.ts';
import { renderCard as onGitHub } from '#bots/github/render.ts';
import { renderCard as onSlack } from '#bots/slack/render.ts';
import type { Card } from '#core/conversations/card.ts';
import { checkDiagnosis } from '#core/incidents/check-diagnosis.ts';
import { diagnosisBlocks } from '#core/incidents/diagnosis-blocks.ts';
import { mineTemplates } from '#core/incidents/evidence/drain.ts';

const URL = 'https://evil.example/approve';
const LINK = `[Approve](${URL})`;

/** A diagnosis in which a log line, the root cause, a claim that is dropped and a next action bring a link along. */
function hostileCard(): Card {
  const evidence = [
    { number: 1, kind: 'log' as const, title: `new log line: GET ${LINK} not found`, text: 'x' },
    { number: 2, kind: 'deployment' as const, title: `\`shop\` <b>${LINK}</b>`, text: 'x' },
  ];
  const checked = checkDiagnosis(
    {
      rootCause: { text: `The pool is too small, see ${LINK}`, evidence: [1, 2] },
      category: 'code',
      confidence: 0.9,
      claims: [
        { text: `It broke, ${LINK}`, evidence: [1] },
        { text: `Press ${LINK}`, evidence: [] },
      ],
      nextActions: [`Read ${LINK}`],
    },
    evidence,
  );
  const blocks = diagnosisBlocks({
    evidence,
    diagnosis: {
      id: 'd',
      incident_id: 'i',
      root_cause: checked.rootCause,
      category: checked.category,
      confidence: checked.confidence,
      said_confidence: 0.9,
      claims: checked.claims,
      dropped: checked.dropped,
      next_actions: checked.nextActions,
      cap_reason: checked.capReason,
      model: 'm',
      created_at: new Date(0),
    },
  });
  return { title: 'Incident', tone: 'danger', blocks, actions: [] };
}

it('what others wrote makes no link in a diagnosis, on any surface', () => {
  const card = hostileCard();
  expect(JSON.stringify(card)).toContain('Approve');
  expect(JSON.stringify(onSlack(card).blocks)).not.toContain(`<${URL}|`);
  expect(JSON.stringify(onDiscord(card, 'k').components)).not.toContain(LINK);
  expect(onGitHub(card, 'k', { name: 'comio', imageUrl: () => undefined })).not.toContain(LINK);
});

it('a log line whose fields cannot be made words is read all the same', () => {
  const [template] = mineTemplates([[], ['{"msg":{"toString":null},"level":{"valueOf":null}}']]);
  expect(template?.tokens.join(' ')).toContain('toString');
});
