/** Words of accounts, as the catalogue has them. */
import { useTexts } from '../../shared/i18n';

export const ROLES = ['viewer', 'decider', 'owner-admin'] as const;
const STATES: Record<string, string> = {
  'in use': 'used',
  disabled: 'disabled',
  'password not yet chosen': 'new',
};

/** Says roles and states of accounts. */
export function usePeopleWords() {
  const { t, has } = useTexts('ownpeople');
  const role = (one: string) => (has(`ownpeople:role.${one}`) ? t(`ownpeople:role.${one}`) : one);
  const state = (one: string) => (STATES[one] ? t(`ownpeople:state.${STATES[one]}`) : one);
  return { role, state };
}
