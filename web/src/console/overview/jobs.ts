/** The jobs that the overview shows: by state, newest first, of the project that is chosen. */
import { api, type Schemas } from '../../api/client';
import { useLive } from '../../shared/live';
import { useQueryClient } from '@tanstack/react-query';
import { useProject } from '../project';
import { stale } from '../../api/queries';

export type JobSummary = Schemas['JobSummary'];
type State = Schemas['JobState'];

const SHOWN = 8;

/** The newest jobs in a state, followed by the stream. */
export function useJobs(state: State) {
  const queries = useQueryClient();
  const [project] = useProject();
  useLive(['job'], () => stale(queries, '/api/v1/jobs'));
  return api.useQuery('get', '/api/v1/jobs', {
    params: { query: { state: [state], newest: true, limit: SHOWN, ...(project ? { project } : {}) } },
  });
}

/** What a failed job says of its failure. */
export function failureOf(job: JobSummary): { code: string; message: string; hint: string } {
  const said = job.error ?? {};
  const text = (name: string) => (typeof said[name] === 'string' ? String(said[name]) : '');
  return { code: text('code'), message: text('message'), hint: text('hint') };
}

/** How far a job is, in rounds; `null` where its kind has none. */
export function roundOf(job: JobSummary): { done: number; of: number } | null {
  const done = job.progress?.['round'];
  const of = job.progress?.['rounds'];
  return typeof done === 'number' && typeof of === 'number' && of > 0 ? { done, of } : null;
}
