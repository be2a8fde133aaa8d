import { bug } from '#observability/demo-app/history.ts';
import { call, steps } from './step.ts';

const [fix] = bug.fix.edits;

/** The number of a piece of evidence of this kind that says this. */
const piece = (kind: string, says: string): string =>
  `<evidence number="(\\d+)" kind="${kind}">(?:(?!</evidence>)[\\s\\S])*?${says}`;

export const incidentScenarios = [
  {
    name: 'the diagnosis of an incident',
    when: 'Diagnose this incident',
    captures: {
      commit: piece('commit', 'prices\\.js'),
      log: piece('log', 'Cannot destructure'),
      deployment: piece('deployment', 'live'),
    },
    steps: steps({
      toolCalls: [
        call('report_diagnosis', {
          rootCause: {
            text: `The table of discounts in \`${bug.file}\` has no tier for orders beyond its end: pricing them fails.`,
            evidence: ['{{#commit}}', '{{#log}}'],
          },
          category: 'code',
          confidence: 0.95,
          claims: [
            {
              text: `Requests fail since the deployment with a new error: "Cannot destructure property 'percent' of 'tierOf(...)' as it is undefined".`,
              evidence: ['{{#log}}', '{{#deployment}}'],
            },
            {
              text: `The deployed commit changed \`tierOf\` in \`${bug.file}\` from a search to a look-up in a table.`,
              evidence: ['{{#commit}}'],
            },
            // Made up: nothing says so.
            { text: 'The log says "connection pool exhausted".', evidence: ['{{#log}}'] },
          ],
          nextActions: ['Roll back, if it cannot wait for the fix', 'Let the look-up end at the last tier'],
        }),
      ],
    }),
    final: 'Reported.',
  },
  {
    name: 'the repair of an incident',
    when: 'Remediate:',
    steps: steps(
      {
        text: 'First I look at the code and show the fault.',
        toolCalls: [
          call('read_file', { path: bug.file }),
          call('reproduce', {
            command: bug.reproduction.command,
            files: [{ path: bug.reproduction.file, content: bug.reproduction.content }],
          }),
        ],
      },
      {
        text: 'Beyond the table the last tier holds.',
        toolCalls: [
          call('edit_file', { path: fix.file, old_string: fix.old, new_string: fix.new }),
          call('run_command', { command: 'npm test' }),
        ],
      },
      { toolCalls: [call('git_commit', { message: 'Price orders beyond the last tier' })] },
      {
        toolCalls: [
          call('propose', {
            title: 'Price orders beyond the last tier',
            body: 'The table of discounts ends where the last tier begins, so a larger order found no tier.',
          }),
        ],
      },
    ),
    final: 'Orders larger than the table of discounts found no tier; now the last tier holds for them.',
  },
];
