/** The console's stream (GET /api/v1/events), and what of the cache each event makes old. */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { stale } from '../../api/queries';
import { hub, Live, useLive } from '../../shared/live';
import { prefix } from '../../shared/place';

const ADDRESS = '/api/v1/events';
const KINDS = ['hello', 'reset', 'job', 'timetable', 'notification', 'inbox', 'link'];
const UNREAD = ['get', '/api/v1/notifications/unread'];

/** Opens the stream of this tab while somebody is logged in. */
export function useStream(): void {
  const queries = useQueryClient();
  useEffect(() => {
    const again = () => void queries.invalidateQueries();
    const check = () => stale(queries, '/api/v1/me');
    const live = new Live(prefix() + ADDRESS, KINDS, hub, check, again);
    live.start();
    return () => live.stop();
  }, [queries]);
  useLive(['hello', 'reset', 'notification', 'inbox'], ({ kind, data }) => {
    const { unread } = data;
    if (typeof unread === 'number') {
      queries.setQueriesData({ queryKey: UNREAD }, { unread });
    }
    // What was answered before the stream began may have changed in between: nobody told.
    if (kind === 'reset' || kind === 'hello') void queries.invalidateQueries();
    else stale(queries, '/api/v1/notifications');
  });
  // An agent that dials for the first time has just used its token.
  useLive(['link'], () => stale(queries, '/api/v1/parties', '/api/v1/agents', '/api/v1/enrolments'));
}
