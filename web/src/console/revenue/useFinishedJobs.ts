/** The jobs of a project that succeeded, newest first. */
import { api } from '../../api/client';

export function useFinishedJobs(project: string) {
  const query = { project, state: ['succeeded' as const], newest: true, limit: 200 };
  return api.useQuery('get', '/api/v1/jobs', { params: { query } });
}
