import { Badge } from 'antd';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';

type Party = Schemas['PartyStatus'];

/** How the centre hears each agent and enclave; the stream of the tab makes it old when a link changes. */
export function useParties() {
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
