import type { ConversationAddress, Person, Role } from '#core/conversations/surface.ts';
import { DIRECT, placeOf } from './address.ts';

/**
 * Who may start and steer runs. Member roles come with every message and command, signed by Discord's connection, so
 * they are as fresh as what was said. Anything unclear is a viewer.
 */
export function roleOf(
  person: Person,
  conversation: ConversationAddress,
  operatorRoles: string | undefined,
): { role: Role; reason: string } {
  const allowed = (operatorRoles ?? '')
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '');
  if (allowed.length === 0) {
    return {
      role: 'viewer',
      reason:
        'Nobody on Discord may start runs yet: set DISCORD_OPERATOR_ROLES to the ids of the roles that may (a server’s own id stands for all its members).',
    };
  }
  if (allowed.includes('*')) return { role: 'operator', reason: 'DISCORD_OPERATOR_ROLES is *' };
  const held = person.claims.find((claim) => allowed.includes(claim));
  if (held !== undefined) return { role: 'operator', reason: `has the Discord role ${held}` };
  return placeOf(conversation).guild === DIRECT
    ? { role: 'viewer', reason: 'Direct messages carry no roles: ask in a channel of your server.' }
    : { role: 'viewer', reason: `${person.name} has none of the roles in DISCORD_OPERATOR_ROLES.` };
}
