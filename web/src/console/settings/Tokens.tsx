import { Alert, Button, Popconfirm, Table, Typography } from 'antd';
import { useState } from 'react';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from './deeds';
import { NewToken } from './NewToken';

type Token = Schemas['TokenShown'];

/** Tokens of one's own programs: what each is good for, until when, and how to end it. */
export function Tokens() {
  const { t } = useTexts('settings');
  const [made, setMade] = useState('');
  const tokens = api.useQuery('get', '/api/v1/tokens');
  const revoke = useDeed(
    (key: string) => http.DELETE('/api/v1/tokens/{key}', { params: { path: { key } } }),
    '/api/v1/tokens',
  );
  return (
    <>
      <p>{t('settings:tokens.lead')}</p>
      {made ? (
        <Alert
          type="success"
          showIcon
          closable={{ onClose: () => setMade('') }}
          title={t('settings:tokens.once')}
          description={
            <Typography.Text code copyable data-testid="token">
              {made}
            </Typography.Text>
          }
        />
      ) : null}
      <NewToken onMade={setMade} />
      {revoke.isError ? <Failed error={revoke.error} /> : null}
      <Answer
        query={tokens}
        empty={{
          when: (page) => !page.items.length,
          show: <Empty title={t('settings:tokens.none')} next={t('settings:tokens.next')} />,
        }}
      >
        {(page) => (
          <Table<Token>
            size="small"
            rowKey="id"
            pagination={false}
            scroll={{ x: 720 }}
            dataSource={page.items}
            columns={[
              { title: t('settings:tokens.label'), render: (_, one) => one.label || one.id },
              {
                title: t('settings:tokens.scopes'),
                render: (_, one) => one.scopes.map((scope) => t(`settings:scope.${scope}`)).join(', '),
              },
              { title: t('settings:tokens.created'), render: (_, one) => <Moment at={one.created} /> },
              { title: t('settings:tokens.expires'), render: (_, one) => <Moment at={one.expires} /> },
              {
                title: t('settings:tokens.used'),
                render: (_, one) =>
                  one.used ? <Moment at={one.used} /> : t('settings:tokens.never'),
              },
              {
                title: t('settings:actions'),
                render: (_, one) => (
                  <Popconfirm
                    title={t('settings:tokens.sure')}
                    onConfirm={() => revoke.mutate(one.id)}
                  >
                    <Button size="small" danger>
                      {t('settings:tokens.revoke')}
                    </Button>
                  </Popconfirm>
                ),
              },
            ]}
          />
        )}
      </Answer>
    </>
  );
}
