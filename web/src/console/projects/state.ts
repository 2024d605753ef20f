/** What state a project is in, and who may change it: the centre decides, pages leave out the rest. */
import type { Account } from '../session';
import type { Project } from '../project';

export type ProjectState = 'archived' | 'frozen' | 'ended' | 'open';

/** The state of a project at a time in unix seconds. */
export function stateOf(project: Project, now: number): ProjectState {
  if (project.closed) return 'archived';
  if (project.frozen) return 'frozen';
  return project.ends && project.ends <= now ? 'ended' : 'open';
}

/** How somebody takes part in a project through their organisation. */
export function membershipOf(project: Project, organisation: string) {
  return project.members.find((one) => one.organisation === organisation);
}

/** Whether somebody leads the project, or administers an organisation in it. */
export function leads(me: Account | undefined, project: Project): boolean {
  if (!me) return false;
  const own = project.people?.find((one) => one.user === me.id);
  return me.roles.includes('organisation-admin') || (own?.roles.includes('lead') ?? false);
}

/** Whether somebody may change the project's state: leads it for the organisation that founded it. */
export function founds(me: Account | undefined, project: Project): boolean {
  return me?.organisation === project.organisation && leads(me, project);
}
