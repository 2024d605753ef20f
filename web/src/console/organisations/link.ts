/** What the centre may tell somebody of an agent's link. */
import type { Account } from '../session';

export type LinkSaid = 'asking' | 'unanswered' | 'connected' | 'away' | 'never' | 'untold';

/**
 * The state of an organisation's link in one word.
 *
 * The centre tells of agents of the own organisation, and of those that share a running project with
 * it; of others nothing follows from its silence.
 */
export function linkSaid(
  me: Account | undefined,
  organisation: string,
  answer: { items: readonly { party: string; connected: boolean }[] | undefined; failed: boolean },
  shares: boolean,
): LinkSaid {
  const { items, failed } = answer;
  if (!items) return failed ? 'unanswered' : 'asking';
  const found = items.find((one) => one.party === organisation);
  if (found) return found.connected ? 'connected' : 'away';
  const told = !!me && (me.roles.includes('platform-admin') || shares || me.organisation === organisation);
  return told ? 'never' : 'untold';
}
