import { Button, Card, Popconfirm } from 'antd';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import type { Account } from '../session';
import { useDeed } from '../settings/deeds';

type Token = Schemas['TokenShown'];
const PATH = '/api/v1/users/{key}/tokens';

/** The tokens of somebody's programs, which an administrator can end. */
export function PersonTokens({ person }: { person: Account }) {
  const { t } = useTexts('administration', 'settings');
  const tokens = api.useQuery('get', PATH, { params: { path: { key: person.id } } });
  const end = useDeed(
    (token: string) =>
      http.DELETE('/api/v1/users/{key}/tokens/{token}', {
        params: { path: { key: person.id, token } },
      }),
    PATH,
  );
  return (
    <Card size="small" title={t('administration:tokens')}>
      {end.isError ? <Failed error={end.error} /> : null}
      <Answer query={tokens}>
        {({ items }) => (
          <WideTable<Token>
            size="small"
            pagination={false}
            rowKey={(one) => one.id}
            dataSource={items}
            locale={{ emptyText: t('administration:tokens.none') }}
            columns={[
              {
                title: t('administration:token'),
                key: 'label',
                render: (_, one) => one.label || one.id,
              },
              {
                title: t('administration:scopes'),
                key: 'scopes',
                render: (_, one) =>
                  one.scopes.map((scope) => t(`settings:scope.${scope}`)).join(', '),
              },
              {
                title: t('administration:used'),
                key: 'used',
                render: (_, one) =>
                  one.used ? <Moment at={one.used} /> : t('administration:used.never'),
              },
              {
                title: t('administration:expires'),
                key: 'expires',
                render: (_, one) => <Moment at={one.expires} />,
              },
              {
                title: t('administration:deeds'),
                key: 'deeds',
                render: (_, one) => (
                  <Popconfirm
                    title={t('administration:token.end.ask')}
                    okText={t('administration:token.end')}
                    cancelText={t('administration:cancel')}
                    onConfirm={() => end.mutate(one.id)}
                  >
                    <Button type="link" danger size="small">
                      {t('administration:token.end')}
                    </Button>
                  </Popconfirm>
                ),
              },
            ]}
          />
        )}
      </Answer>
    </Card>
  );
}
