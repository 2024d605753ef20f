/** The console's stream: what of the cache each event makes old. */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { hub, Live, useLive } from '../../shared/live';
import { prefix } from '../../shared/place';

const ADDRESS = '/api/v1/notifications/events';
const KINDS = ['notification'];

/** Opens the stream of this tab while somebody is logged in. */
export function useStream(): void {
  const queries = useQueryClient();
  useEffect(() => {
    const again = () => void queries.invalidateQueries();
    const check = () => void queries.invalidateQueries({ queryKey: ['get', '/api/v1/me'] });
    const live = new Live(prefix() + ADDRESS, KINDS, hub, check, again);
    live.start();
    return () => live.stop();
  }, [queries]);
  useLive(['notification'], () => {
    for (const path of ['/api/v1/notifications', '/api/v1/notifications/unread']) {
      void queries.invalidateQueries({ queryKey: ['get', path] });
    }
  });
}
