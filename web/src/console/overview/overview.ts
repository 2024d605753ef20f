/** The overview, brought up to date by the stream: rows in place, everything else asked anew. */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { api, type Schemas } from '../../api/client';
import { useLive } from '../../shared/live';
import { stale } from '../../api/queries';

export type Overview = Schemas['Overview'];
export type JobSummary = Schemas['JobSummary'];
export type Absence = Schemas['Absence'];

const PATH = '/api/v1/overview';
const PAUSE = 300;

/** The overview with a newer row of a job; `null` where more than that row has changed. */
export function withRow(shown: Overview, job: JobSummary): Overview | null {
  const at = shown.running.findIndex((one) => one.id === job.id);
  if (at < 0 || shown.running[at]?.state !== job.state) return null;
  return { ...shown, running: shown.running.with(at, job) };
}

/** What a person sees first. */
export function useOverview() {
  const queries = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const again = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => stale(queries, PATH), PAUSE);
  };
  useLive(['notification', 'link', 'timetable'], again);
  useLive(['job'], ({ data }) => {
    const shown = queries.getQueryData<Overview>(['get', PATH, {}]);
    const job = data['job'] as JobSummary | undefined;
    const newer = shown && job ? withRow(shown, job) : null;
    if (newer) queries.setQueryData(['get', PATH, {}], newer);
    else again();
  });
  return api.useQuery('get', PATH, {});
}

/** Whether a job is of the project that is chosen in the header; all are where none is. */
export function ofProject(project: string): (job: JobSummary) => boolean {
  return (job) => !project || job.project === project;
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
