import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EVENTS, type GitHubEvent, parse } from '#bots/github/parse.ts';
import { spoken } from '#bots/github/text.ts';

const recorded = (file: string): GitHubEvent =>
  JSON.parse(readFileSync(new URL(`../../fixtures/replay/github/${file}.json`, import.meta.url), 'utf8'));
const CONTEXT = { name: 'comio', now: new Date('2026-01-01T12:00:00Z') };
const hear = (file: string) => parse(recorded(file), CONTEXT);

/** GitHub's own recordings of every event. */
const examples = (): { name: string; examples: { action?: string }[] }[] =>
  JSON.parse(readFileSync(createRequire(import.meta.url).resolve('@octokit/webhooks-examples'), 'utf8'));
const asEvent = (name: string, payload: object): GitHubEvent => JSON.parse(JSON.stringify({ name, payload }));

describe('a recorded payload', () => {
  it('of an issue begins with what is asked of us', () => {
    const inbound = hear('issue-opened-mention');
    expect(inbound).toMatchObject({
      id: 'github:186853002:issue:444500041',
      kind: 'message',
      addressed: true,
      author: { id: 'Codertocat', name: 'Codertocat', claims: [] },
      conversation: {
        surface: 'github',
        key: 'Codertocat/Hello-World#1',
        at: { owner: 'Codertocat', repo: 'Hello-World', number: 1 },
      },
      repository: { owner: 'Codertocat', name: 'Hello-World', issue: 1 },
      reactTo: { at: { kind: 'issue', number: 1 } },
      sentAt: '2019-05-15T15:20:18.000Z',
    });
    expect(inbound?.text).toBe(
      [
        'fix this, and add a test',
        'Open the list without any recipe.',
        '```\n@comio this is quoted output\n```',
        'Issue: The app crashes on an empty list',
      ].join('\n\n'),
    );
  });

  it('of an issue that somebody else transferred here says nothing in its author’s name', () => {
    const event = recorded('issue-opened-mention');
    const sender = { ...event.payload.sender, id: event.payload.sender.id + 1, login: 'mallory' };
    expect(parse(asEvent('issues', { ...event.payload, sender }), CONTEXT)).toBeUndefined();
  });

  it('of an issue with our label is for us without a word', () => {
    expect(hear('issue-opened-label')).toMatchObject({
      addressed: true,
      text: 'The app crashes on an empty list\n\nNothing said to anybody.',
    });
    expect(hear('issue-opened-for-nobody')).toMatchObject({
      addressed: false,
      text: 'The app crashes on an empty list',
    });
  });

  it('of a command is the command', () => {
    expect(hear('issue-comment-command')).toMatchObject({
      id: 'github:186853002:issue_comment:492700400',
      addressed: true,
      text: 'fix the failing test\n\nIt is `parse("1h 30m")`.',
      repository: { issue: 1 },
      reactTo: { at: { kind: 'issue_comment', id: 492_700_400 } },
    });
  });

  it('of a quoted mention is not for us', () => {
    expect(hear('pull-request-comment-quoting')).toMatchObject({
      addressed: false,
      repository: { pullRequest: 1 },
    });
  });

  it('of a review comment says where', () => {
    const inbound = hear('review-comment-mention');
    expect(inbound).toMatchObject({
      id: 'github:186853002:review_comment:284312630',
      addressed: true,
      text: 'please use the constant here',
      conversation: { key: 'Codertocat/Hello-World#2' },
      repository: { pullRequest: 2 },
      review: { path: 'README.md', line: expect.any(Number) },
      reactTo: { at: { kind: 'review_comment' } },
    });
    expect(inbound?.review?.diffHunk).toMatch(/^@@/);
    expect(hear('review-comment-outdated')?.review).toMatchObject({ path: 'README.md', line: undefined });
  });

  it('of a review is heard where it says something', () => {
    expect(hear('review-submitted-command')).toMatchObject({
      addressed: true,
      text: 'edit rename the handler\n\nNearly there.',
      repository: { pullRequest: 2 },
    });
    expect(hear('review-submitted-command')?.reactTo).toBeUndefined();
    expect(hear('review-submitted-empty')).toBeUndefined();
  });

  it('of a bot, ours too, is not heard', () => {
    expect(hear('own-comment')).toBeUndefined();
    const event = structuredClone(recorded('issue-comment-command'));
    event.payload.sender.type = 'Bot';
    expect(parse(event, CONTEXT)).toBeUndefined();
  });

  it('of any kind we listen to is understood, as GitHub itself documents it', () => {
    const wanted: readonly string[] = EVENTS;
    const found = examples().flatMap(({ name, examples: payloads }) =>
      payloads
        .filter(({ action }) => wanted.includes(`${name}.${action}`))
        .map((payload) => parse(asEvent(name, payload), CONTEXT)),
    );
    expect(found.length).toBeGreaterThanOrEqual(12);
    for (const inbound of found) {
      if (!inbound) continue;
      expect(inbound.id).toMatch(/^github:\d+:(issue|issue_comment|review_comment|review):\d+$/);
      expect(inbound.conversation.key).toMatch(/^[\w-]+\/[\w.-]+#\d+$/);
      expect(Number.isNaN(Date.parse(inbound.sentAt))).toBe(false);
    }
    expect(found.filter((inbound) => inbound !== undefined).length).toBeGreaterThanOrEqual(10);
  });
});

describe('a button', () => {
  const pressed = (externalId: string | null, action = 'approval-approve') => {
    const repository = recorded('issue-comment-command').payload.repository;
    const event = asEvent('check_run', {
      action: 'requested_action',
      requested_action: { identifier: action },
      check_run: { id: 7, external_id: externalId, pull_requests: [] },
      repository,
      sender: { login: 'ada', type: 'User' },
    });
    return parse({ ...event, id: 'delivery-1' } as GitHubEvent, CONTEXT);
  };

  it('of a check run of ours is a press in the pull request’s conversation', () => {
    expect(pressed('comio 12 3f2a1b0c-1 approval:3f2a1b0c-1')).toEqual({
      id: 'github:186853002:check_run:7:delivery-1',
      conversation: {
        surface: 'github',
        key: 'Codertocat/Hello-World#12',
        at: { owner: 'Codertocat', repo: 'Hello-World', number: 12 },
      },
      author: { id: 'ada', name: 'ada', claims: [] },
      kind: 'action',
      text: '',
      addressed: true,
      sentAt: '2026-01-01T12:00:00.000Z',
      action: { id: 'approval-approve', value: '3f2a1b0c-1' },
      repository: { owner: 'Codertocat', name: 'Hello-World', pullRequest: 12 },
    });
  });

  it('of any other check run is nothing said', () => {
    for (const id of [null, '', 'build-7', 'comio x y z']) expect(pressed(id)).toBeUndefined();
  });

  it('that a comment cannot have is written', () => {
    const written = (body: string) => {
      const event = structuredClone(recorded('issue-comment-command'));
      Object.assign(Object(event.payload).comment, { body });
      return parse(event, CONTEXT);
    };
    expect(written('/comio feedback up 3f2a-1')).toMatchObject({
      kind: 'action',
      text: '',
      action: { id: 'feedback-up', value: '3f2a-1' },
      reactTo: { at: { kind: 'issue_comment' } },
    });
    expect(written('@comio feedback down 3f2a-1 thanks')?.action).toEqual({
      id: 'feedback-down',
      value: '3f2a-1',
    });
    for (const body of ['feedback up 3f2a-1', '@comio feedback up', '@comio feedback sideways 3f2a-1'])
      expect(written(body)).toMatchObject({ kind: 'message' });
  });
});

describe('what is said', () => {
  it.each([
    ['@comio fix it', 'fix it'],
    ['/comio fix it', 'fix it'],
    ['@Comio: fix it', 'fix it'],
    ['@comio[bot], fix it', 'fix it'],
    ['  @comio\nfix it', 'fix it'],
    ['@comio', ''],
    ['Thanks!\n\n@comio fix it\nplease', 'fix it\nplease\n\nThanks!'],
    ['~~~\ncode\n~~~\n@comio fix it', 'fix it\n\n~~~\ncode\n~~~'],
    ['@comio <!-- hidden --> fix it', 'fix it'],
  ])('to us: %j', (body, text) => {
    const said = spoken(body, 'comio');
    expect({ ...said, text: said.text.replace(/ +/g, ' ') }).toEqual({ mentioned: true, text });
  });

  it.each([
    'hello',
    'ask @comio about it',
    '> @comio fix it',
    '    @comio fix it',
    '@comioish fix it',
    '@comio-labs fix it',
    '@comio/team fix it',
    '/comio/path is a path',
    '```\n@comio fix it\n```',
    '```\n@comio fix it',
    '````\n```\n@comio fix it\n```\n````',
    '~~~ x\n@comio\n~~~',
    '<!--\n@comio fix it\n-->',
    '<!-- @comio fix it',
    'me@comio.example',
  ])('to others: %j', (body) => {
    expect(spoken(body, 'comio').mentioned).toBe(false);
  });

  it('never contains what GitHub shows to nobody', () => {
    const parts = fc.constantFrom('<!--', '-->', 'word', '\n', ' ', '@comio', '`', '> ');
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 30 }), (pieces) => {
        const { text } = spoken(pieces.join(''), 'comio');
        expect(text).not.toMatch(/<!--/);
      }),
    );
    expect(spoken('shown <!-- hidden\nhidden --> shown', 'comio').text).toBe('shown \n shown');
    // Code is shown as it is.
    expect(spoken('```html\n<!-- shown -->\n```', 'comio').text).toContain('<!-- shown -->');
  });
});
