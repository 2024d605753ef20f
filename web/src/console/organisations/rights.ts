/** Who may do what with organisations: the centre decides, the page only leaves out what it refuses. */
import type { Account } from '../session';

/** Whether somebody administers the platform. */
export function operates(me: Account | undefined): boolean {
  return me?.roles.includes('platform-admin') ?? false;
}

/** Whether somebody administers this organisation, or all of them. */
export function administers(me: Account | undefined, organisation: string): boolean {
  if (operates(me)) return true;
  return me?.organisation === organisation && me.roles.includes('organisation-admin');
}
