import { Badge, Tooltip } from 'antd';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { useMe } from '../session';
import { linkSaid } from './link';

const COLOURS = {
  asking: 'default',
  unanswered: 'warning',
  connected: 'success',
  away: 'error',
  never: 'default',
  untold: 'default',
} as const;

/** How the centre hears each agent and enclave; the stream of the tab makes it old when a link changes. */
export function useParties() {
  return api.useQuery('get', '/api/v1/parties');
}

/** Whether an agent is connected, in words beside the colour; `shares`: both are in one project. */
export function LinkState({ organisation, shares = false }: { organisation: string; shares?: boolean }) {
  const { t } = useTexts('organisations');
  const me = useMe().data;
  const { data, isError } = useParties();
  const said = linkSaid(me, organisation, { items: data?.items, failed: isError }, shares);
  const shown = <Badge status={COLOURS[said]} text={t(`organisations:link.${said}`)} />;
  if (said !== 'untold') return shown;
  return (
    <Tooltip title={t('organisations:untold')}>
      <span tabIndex={0} aria-label={`${t('organisations:link.untold')}: ${t('organisations:untold')}`}>
        {shown}
      </span>
    </Tooltip>
  );
}
