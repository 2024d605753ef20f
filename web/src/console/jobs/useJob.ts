/** A job and its events: what is stored is asked for once, what happens then comes by the stream. */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api, http, type Schemas } from '../../api/client';
import { asProblem, type Problem } from '../../api/problem';
import { hub, useLive } from '../../shared/live';
import { concerns } from './absent';
import { eventOf, merged, type JobEvent } from './events';

export type Job = Schemas['Job'];
const PATH = '/api/v1/jobs/{key}';

/** The job; asked for again when the stream says that it changed, or a link of its parties. */
export function useJob(key: string) {
  const queries = useQueryClient();
  const query = api.useQuery('get', PATH, { params: { path: { key } } });
  useLive(['job', 'timetable', 'link'], ({ kind, data }) => {
    const row = data['job'] as { id?: unknown } | undefined;
    if (kind === 'link' ? !concerns(query.data, data['party']) : row?.id !== key) return;
    void queries.invalidateQueries({
      queryKey: api.queryOptions('get', PATH, { params: { path: { key } } }).queryKey,
    });
  });
  return query;
}

async function stored(key: string, tell: (events: JobEvent[]) => void): Promise<void> {
  for (let after = 0; ; ) {
    const { data } = await http.GET('/api/v1/jobs/{key}/history', {
      params: { path: { key }, query: { after } },
    });
    tell(data!.items as JobEvent[]);
    if (!data!.next) return;
    after = data!.next;
  }
}

type Told = { events: JobEvent[]; failed: Problem | null; loading: boolean };

/** All events of a job so far, whether older ones are still read, and why they could not be. */
export function useJobEvents(key: string): Told {
  const [events, keep] = useState<JobEvent[]>([]);
  const [failed, fail] = useState<Problem | null>(null);
  const [loading, load] = useState(true);
  useEffect(() => {
    let here = true;
    const read = () => {
      stored(key, (more) => here && keep((known) => merged(known, more)))
        .then(() => here && fail(null))
        .catch((error: unknown) => here && fail(asProblem(error)))
        .finally(() => here && load(false));
    };
    keep([]);
    fail(null);
    load(true);
    // A stream that begins tells nothing of what was before: it may have begun after the reading.
    const ends = [hub.follow(key), hub.on('hello', read), hub.on('reset', read)];
    read();
    return () => {
      here = false;
      for (const end of ends) end();
    };
  }, [key]);
  useLive(['job', 'timetable'], ({ data }) => {
    const row = data['job'] as { id?: unknown } | undefined;
    const event = eventOf(data['event']);
    if (row?.id === key && event) keep((known) => merged(known, [event]));
  });
  return { events, failed, loading };
}
