/** The project in the header: what pages show is of this one, or of all. */
import { api, type Schemas } from '../api/client';
import { prefer, usePreferences } from '../shared/preferences';

export type Project = Schemas['Project'];

/** The projects that the caller sees, newest page first. */
export function useProjects() {
  return api.useQuery('get', '/api/v1/projects', { params: { query: { limit: 200 } } });
}

/** The id of the project that is chosen; empty for all. */
export function useProject(): [string, (id: string) => void] {
  const { project } = usePreferences();
  const known = useProjects().data?.items;
  const gone = known !== undefined && !known.some((one) => one.id === project);
  return [gone ? '' : project, (id) => prefer({ project: id })];
}
