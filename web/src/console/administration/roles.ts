/** The roles of the platform, as a form offers them. */
import type { Schemas } from '../../api/client';
import type { Account } from '../session';

export type Role = Schemas['Role'];

const OF_AN_ORGANISATION: readonly Role[] = [
  'organisation-admin',
  'data-owner',
  'data-scientist',
  'auditor',
];

/** The roles that an account of an organisation can have; without one it is the operator's. */
export function offered(organisation: string): readonly Role[] {
  return organisation ? OF_AN_ORGANISATION : ['platform-admin'];
}

/** Whether somebody may change an account: as operator, or as administrator of its organisation. */
export function changes(me: Account | undefined, organisation: string): boolean {
  if (!me) return false;
  if (me.roles.includes('platform-admin')) return true;
  return me.roles.includes('organisation-admin') && me.organisation === organisation;
}
