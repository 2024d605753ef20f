import { useQueryClient } from '@tanstack/react-query';
import { Badge } from 'antd';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { useLive } from '../../shared/live';

type Party = Schemas['PartyStatus'];

/** How the centre hears each agent and enclave; asked again whenever a link changes. */
export function useParties() {
  const queries = useQueryClient();
  useLive(['link'], () => void queries.invalidateQueries({ queryKey: ['get', '/api/v1/parties'] }));
  return api.useQuery('get', '/api/v1/parties');
}

/** Whether an agent is connected, in words beside the colour. */
export function LinkState({ party, known }: { party: Party | undefined; known: boolean }) {
  const { t } = useTexts('organisations');
  if (!known) return <Badge status="default" text={t('organisations:link.unknown')} />;
  if (!party) return <Badge status="default" text={t('organisations:link.never')} />;
  return party.connected ? (
    <Badge status="success" text={t('organisations:link.connected')} />
  ) : (
    <Badge status="error" text={t('organisations:link.away')} />
  );
}
