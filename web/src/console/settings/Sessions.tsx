import { useQueryClient } from '@tanstack/react-query';
import { Button, Popconfirm, Table, Tag } from 'antd';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { stale } from '../../api/queries';

type Session = Schemas['BrowserSession'];

/** The browsers that are logged in as this person, and how to end that. */
export function Sessions() {
  const { t } = useTexts('settings');
  const queries = useQueryClient();
  const sessions = api.useQuery('get', '/api/v1/sessions');
  const onSuccess = () => stale(queries, '/api/v1/sessions');
  const end = api.useMutation('delete', '/api/v1/sessions/{key}', { onSuccess });
  const endOthers = api.useMutation('delete', '/api/v1/sessions', { onSuccess });
  const failure = end.error ?? endOthers.error;
  return (
    <>
      <p>{t('settings:sessions.lead')}</p>
      {failure ? <Failed error={failure} /> : null}
      <Answer query={sessions}>
        {(page) => (
          <>
            <Table<Session>
              size="small"
              rowKey="id"
              pagination={false}
              scroll={{ x: 640 }}
              dataSource={page.items}
              columns={[
                {
                  title: t('settings:sessions.address'),
                  render: (_, one) => (
                    <>
                      {one.address}{' '}
                      {one.current ? <Tag color="success">{t('settings:sessions.this')}</Tag> : null}
                    </>
                  ),
                },
                {
                  title: t('settings:sessions.method'),
                  render: (_, one) => methodOf(one.method, t('settings:sessions.password')),
                },
                {
                  title: t('settings:sessions.created'),
                  render: (_, one) => <Moment at={one.created} />,
                },
                { title: t('settings:sessions.used'), render: (_, one) => <Moment at={one.used} /> },
                {
                  title: t('settings:actions'),
                  render: (_, one) =>
                    one.current ? null : (
                      <Button
                        size="small"
                        loading={end.isPending}
                        onClick={() => end.mutate({ params: { path: { key: one.id } } })}
                      >
                        {t('settings:sessions.end')}
                      </Button>
                    ),
                },
              ]}
            />
            {page.items.length > 1 ? (
              <Popconfirm
                title={t('settings:sessions.others.sure')}
                onConfirm={() => endOthers.mutate({})}
              >
                <Button danger loading={endOthers.isPending} style={{ marginTop: 12 }}>
                  {t('settings:sessions.others')}
                </Button>
              </Popconfirm>
            ) : null}
          </>
        )}
      </Answer>
    </>
  );
}

/** How somebody logged in: by password, or at a provider of that name. */
function methodOf(method: string, password: string): string {
  return method === 'password' ? password : method;
}
