import { call, steps } from './step.ts';

const upperCaseTest = `test('several units add up', () => assert.equal(parse('1h30m'), 5400));
test('units in upper case', () => assert.equal(parse('2H'), 7200));`;

export const editScenarios = [
  {
    name: 'the pull request’s review comment',
    when: 'units.*readme|readme.*units',
    steps: steps(
      {
        toolCalls: [
          call('edit_file', {
            path: 'README.md',
            old_string: 'Units: `d`, `h`, `m`, `s`.',
            new_string: 'Units: `d`, `h`, `m`, `s`, in lower or upper case.',
          }),
        ],
      },
      { toolCalls: [call('run_command', { command: 'npm test' })] },
      { toolCalls: [call('git_commit', { message: 'Document units in upper case' })] },
      {
        toolCalls: [call('publish', { title: 'Document units in upper case', body: 'Asked for in review.' })],
      },
    ),
    final: 'The README now says that units may be in upper case.',
  },
  {
    name: 'fix it',
    when: '\\bfix it\\b',
    steps: steps(
      { text: 'First I look at what fails.', toolCalls: [call('run_command', { command: 'npm test' })] },
      {
        toolCalls: [
          call('search_codebase', { pattern: 'SECONDS' }),
          call('read_file', { path: 'src/parse.js' }),
          call('run_command', { command: 'sleep 3; git log --oneline -5' }),
        ],
      },
      {
        text: 'An hour has 3600 seconds, not 360.',
        toolCalls: [
          call('edit_file', { path: 'src/parse.js', old_string: 'h: 360,', new_string: 'h: 3600,' }),
        ],
      },
      { toolCalls: [call('run_command', { command: 'npm test' })] },
      { toolCalls: [call('git_commit', { message: 'Count 3600 seconds in an hour' })] },
      {
        toolCalls: [
          call('publish', {
            title: 'Count 3600 seconds in an hour',
            body: 'An hour was counted as 360 seconds, so `2h` and `1h30m` were wrong.',
          }),
        ],
      },
    ),
    steering: [
      {
        pattern: 'upper.?case units like',
        steps: steps({
          text: 'Upper case too, with a test.',
          toolCalls: [
            call('edit_file', {
              path: 'src/parse.js',
              old_string: '[...text.matchAll(/(\\d+)([dhms])/g)]',
              new_string: '[...text.matchAll(/(\\d+)([dhms])/gi)]',
            }),
            call('edit_file', {
              path: 'src/parse.js',
              old_string: 'SECONDS[unit]',
              new_string: 'SECONDS[unit.toLowerCase()]',
            }),
            call('edit_file', {
              path: 'test/parse.test.js',
              old_string: "test('several units add up', () => assert.equal(parse('1h30m'), 5400));",
              new_string: upperCaseTest,
            }),
          ],
        }),
      },
    ],
    final: 'An hour was counted as 360 seconds instead of 3600.',
  },
];
