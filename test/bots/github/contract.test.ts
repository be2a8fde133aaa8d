import { surfaceContract } from '../../contracts/surface.ts';
import { actsOn, picturesIn, REPO, startLocalGitHub } from './support.ts';

surfaceContract('GitHub', async ({ receive, images }) => {
  const { peer, surface, ...local } = await startLocalGitHub(receive, images);
  const numberOf = (place: unknown): number => Number(place);
  const userOf = (by: 'operator' | 'stranger' | undefined) => (by === 'stranger' ? 'mallory' : 'ada');
  return {
    surface,
    buttons: false,
    async say({ text, mention = true, by, deliver }) {
      const body = mention ? `@comio ${text}` : text;
      const issue = await peer.openIssue({ ...REPO, user: userOf(by), title: text, body, deliver });
      return { id: `issue-${issue.id}`, place: issue.number };
    },
    async sayInThread({ place }, { text, mention = true, by, deliver }) {
      const body = mention ? `@comio ${text}` : text;
      const on = { ...REPO, number: numberOf(place) };
      const { id } = await peer.comment({ ...on, user: userOf(by), body, deliver });
      return { id: String(id), place };
    },
    press: () => Promise.reject(new Error('a comment has no buttons')),
    async messages({ id, place }) {
      const on = { ...REPO, number: numberOf(place) };
      const mine = (reactions: { content: string; login: string }[]) =>
        reactions.filter(({ login }) => login === peer.botLogin).map(({ content }) => content);
      const first = { text: '', byBot: false, buttons: [], notifies: [], pictures: [] };
      return [
        { id, ...first, reactions: mine(peer.issueReactions(on)) },
        ...(await Promise.all(
          (
            await peer.comments(on)
          ).map(async (comment) => ({
            id: String(comment.id),
            text: comment.body,
            byBot: comment.byBot,
            buttons: [],
            notifies: comment.byBot ? actsOn(comment.body) : [],
            reactions: mine(comment.reactions),
            pictures: await picturesIn(comment.body),
          })),
        )),
      ];
    },
    remove: (_root, id) => peer.deleteComment({ ...REPO, id: Number(id) }),
    breakRoles: () => peer.breakRoute('GET /repos/:owner/:repo/collaborators/:login/permission', 500),
    [Symbol.asyncDispose]: () => local[Symbol.asyncDispose](),
  };
});
