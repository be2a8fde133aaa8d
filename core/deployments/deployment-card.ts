import type { Action, Block, Card, PlanItem, Tone } from '../conversations/card.ts';
import type { Project } from '../projects/projects.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { type Deployment, type Environment, isOpen, type Release, shortSha } from './environments.ts';
import type { DeploymentState } from './tables.ts';
import { variablesText } from './variables.ts';

/** Everything a deployment's messages are made from: its rows. The same rows, the same card. */
export interface DeploymentView {
  deployment: Deployment;
  environment: Environment;
  project: Project;
  release: Release | undefined;
  /** What it took, or would take, the place of. */
  previous: Release | undefined;
  /** What a press on "Roll back" would put back; undefined where there is nothing, or another is live. */
  back: Release | undefined;
  /** undefined: people cannot open it from where they are. */
  url: string | undefined;
}

const TONES: Record<DeploymentState, Tone> = {
  waiting: 'warning',
  queued: 'neutral',
  building: 'working',
  starting: 'working',
  checking: 'working',
  live: 'success',
  replaced: 'neutral',
  failed: 'danger',
  rejected: 'danger',
  stopped: 'warning',
};

const WORDS: Record<DeploymentState, string> = {
  waiting: 'Waits for approval',
  queued: 'Waits for its turn',
  building: 'Working',
  starting: 'Working',
  checking: 'Working',
  live: 'Live',
  replaced: 'Replaced by a newer deployment',
  failed: 'Failed',
  rejected: 'Not approved',
  stopped: 'Stopped',
};

const MAX_LINE = 100;
const UNREACHABLE = 'Only the server itself can open it until DEPLOY_DOMAIN is set.';

/** The live card: what was done, what is being done, what is to come; in the end, where it answers. */
export function deploymentCard(view: DeploymentView): Card {
  const { deployment, release } = view;
  const { state } = deployment;
  const blocks: Block[] = [{ type: 'plan', items: planOf(view) }];
  if (release) blocks.push({ type: 'quote', text: oneLine(release.commit_message, 200) });
  if (release && (state === 'live' || state === 'replaced'))
    blocks.push({ type: 'fields', fields: fieldsOf(view, release) });
  if (deployment.error !== null) blocks.push(...problemOf(deployment.error));
  return {
    title: titleOf(view),
    tone: TONES[state],
    blocks,
    actions: actionsOf(view),
    footer: `${footerWords(deployment)} · asked by ${oneLine(deployment.requested_by.name, 40)}`,
  };
}

/** What is said once, when it is decided. */
export function outcomeCard(view: DeploymentView): Card {
  const { deployment, environment, project, release, url } = view;
  const commit = release ? ` \`${shortSha(release.commit_sha)}\`` : '';
  if (deployment.state === 'live')
    return {
      title: `${oneLine(project.name, 60)} is live in ${environment.name}`,
      tone: 'success',
      blocks: [
        { type: 'markdown', text: `${url ?? environment.host} now answers with${commit}.` },
        url === undefined
          ? { type: 'markdown', text: UNREACHABLE }
          : { type: 'links', links: [{ label: 'Open', url }] },
      ],
      actions: [],
    };
  const serving = view.previous
    ? `\`${shortSha(view.previous.commit_sha)}\` keeps serving at ${url ?? environment.host}.`
    : 'Nothing is live there.';
  return {
    title: `${titleOf(view)}: ${WORDS[deployment.state].toLowerCase()}`,
    tone: TONES[deployment.state],
    blocks: [
      ...(deployment.error === null ? [] : problemOf(deployment.error)),
      { type: 'markdown', text: serving },
    ],
    actions: [],
  };
}

function titleOf({ deployment, environment, project, release }: DeploymentView): string {
  const what = release ? ` ${shortSha(release.commit_sha)}` : '';
  const name = oneLine(project.name, 60);
  return deployment.kind === 'rollback'
    ? `Roll ${name} in ${environment.name} back to${what}`
    : `Deploy ${name}${what} to ${environment.name}`;
}

function footerWords(deployment: Deployment): string {
  if (deployment.stop_requested_by !== null) {
    const by = oneLine(deployment.stop_requested_by, 40);
    return isOpen(deployment) ? `${by} asked to stop` : `Stopped by ${by}`;
  }
  return WORDS[deployment.state];
}

function planOf({ deployment, environment }: DeploymentView): PlanItem[] {
  const open = isOpen(deployment);
  const items = deployment.phases.map(({ text, state, detail }): PlanItem => {
    const cutOff = state === 'running' && !open;
    return {
      text: oneLine(text, MAX_LINE),
      state: cutOff ? 'failed' : state,
      detail: detail === undefined ? undefined : oneLine(detail, MAX_LINE),
    };
  });
  const all = [
    'Resolve the commit',
    'Build the image',
    ...(environment.name === 'production' ? ['Approval'] : []),
    'Start',
    'Health checks',
    'Go live',
  ];
  const toCome = open ? all.slice(items.length) : [];
  return [...items, ...toCome.map((text): PlanItem => ({ text, state: 'pending' }))];
}

function fieldsOf({ url, previous, environment }: DeploymentView, release: Release) {
  const variables = variablesText(release.variables?.[environment.name]);
  return [
    ...(url === undefined ? [] : [{ label: 'URL', value: url }]),
    { label: 'Commit', value: `\`${shortSha(release.commit_sha)}\`` },
    { label: 'Before', value: previous ? `\`${shortSha(previous.commit_sha)}\`` : 'nothing' },
    ...(variables === undefined ? [] : [{ label: 'Variables', value: variables }]),
  ];
}

/** The sentence, and below it the end of what was printed. */
function problemOf(error: string): Block[] {
  const [sentence = '', ...printed] = error.split('\n');
  const detail = printed.join('\n').trim();
  return [{ type: 'quote', text: sentence }, ...(detail ? [{ type: 'code' as const, text: detail }] : [])];
}

/** Where there are no buttons, people write these with spaces for the dashes (bots/github/render.ts). */
function actionsOf({ deployment, environment, back }: DeploymentView): Action[] {
  const value = deployment.id;
  if (isOpen(deployment) && deployment.stop_requested_by === null)
    return [{ id: 'stop-deployment', label: 'Stop', style: 'danger', value }];
  if (deployment.state === 'live' && back) {
    const label = `Roll back to ${shortSha(back.commit_sha)}`;
    return [{ id: `rollback-${environment.name}`, label, style: 'danger', value }];
  }
  return [];
}
