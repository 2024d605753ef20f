import { Card, Flex, Progress, Table } from 'antd';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { bytes, number } from '../../shared/format';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';

type Use = Schemas['Use'];

/** How much of each limit is used: of the platform, of each organisation, of the caller. */
export function LimitsTab() {
  const { t } = useTexts('administration');
  const query = api.useQuery('get', '/api/v1/limits', { params: { query: {} } });
  return (
    <Answer query={query}>
      {(view) => (
        <Flex vertical gap="middle">
          {view.queue.length ? (
            <Limits title={t('administration:limits.platform')} uses={view.queue} />
          ) : null}
          <Limits title={t('administration:limits.mine')} uses={view.user} />
          {view.organisations.map((one) => (
            <Limits key={one.organisation} title={one.organisation} uses={one.limits} />
          ))}
        </Flex>
      )}
    </Answer>
  );
}

function Limits({ title, uses }: { title: string; uses: Use[] }) {
  const { t, has } = useTexts('administration');
  const { language } = usePreferences();
  const shown = (one: Use, value: number) =>
    one.name.endsWith('_bytes') ? bytes(value, language) : number(value, language);
  return (
    <Card size="small" title={title}>
      <Table<Use>
        size="small"
        pagination={false}
        rowKey={(one) => one.name}
        dataSource={uses}
        columns={[
          {
            title: t('administration:limit'),
            key: 'name',
            render: (_, one) =>
              has(`administration:limit.${one.name}`)
                ? t(`administration:limit.${one.name}`)
                : one.name,
          },
          {
            title: t('administration:limit.used'),
            key: 'used',
            align: 'right',
            className: 'number',
            render: (_, one) => `${shown(one, one.used)} / ${shown(one, one.limit)}`,
          },
          {
            title: t('administration:limit.share'),
            key: 'share',
            width: 220,
            render: (_, one) => (
              <Progress
                percent={one.limit ? Math.min(100, Math.round((100 * one.used) / one.limit)) : 0}
                status={one.used >= one.limit ? 'exception' : 'normal'}
                size="small"
                aria-label={one.name}
              />
            ),
          },
        ]}
      />
    </Card>
  );
}
