import { Button, Popconfirm, Table } from 'antd';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { prefix } from '../../shared/place';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { useMe } from '../session';
import { useDeed } from './deeds';

type Identity = Schemas['IdentityShown'];
const PATH = '/api/v1/users/{key}/identities';

/** Persons at identity providers that log in to this account. */
export function Identities() {
  const { t } = useTexts('settings');
  const me = useMe();
  const key = me.data?.id ?? '';
  const bound = api.useQuery('get', PATH, { params: { path: { key } } }, { enabled: key !== '' });
  const unbind = useDeed(
    (identity: string) =>
      http.DELETE('/api/v1/users/{key}/identities/{identity}', {
        params: { path: { key, identity } },
      }),
    PATH,
  );
  return (
    <>
      <p>{t('settings:identities.lead')}</p>
      <Binding />
      {unbind.isError ? <Failed error={unbind.error} /> : null}
      <Answer
        query={bound}
        empty={{
          when: (page) => !page.items.length,
          show: <Empty title={t('settings:identities.none')} />,
        }}
      >
        {(page) => (
          <Table<Identity>
            size="small"
            rowKey="id"
            pagination={false}
            scroll={{ x: 640 }}
            dataSource={page.items}
            columns={[
              { title: t('settings:identities.provider'), dataIndex: 'provider' },
              { title: t('settings:identities.subject'), dataIndex: 'subject' },
              {
                title: t('settings:identities.since'),
                render: (_, one) => <Moment at={one.created} />,
              },
              {
                title: t('settings:actions'),
                render: (_, one) => (
                  <Popconfirm
                    title={t('settings:identities.sure')}
                    onConfirm={() => unbind.mutate(one.id)}
                  >
                    <Button size="small" danger>
                      {t('settings:identities.unbind')}
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

/** Offers to bind a person at each provider; the browser goes there and comes back here. */
function Binding() {
  const { t } = useTexts('settings');
  const providers = api.useQuery('get', '/api/v1/oidc');
  const next = `${prefix()}/settings?tab=identities`;
  const link = useDeed((name: string) =>
    http.POST('/api/v1/oidc/{name}/link', { params: { path: { name } }, body: { next } }),
  );
  const go = (name: string) =>
    link.mutate(name, {
      onSuccess: (answer) => {
        if (answer.data) window.location.assign(answer.data.location);
      },
    });
  return (
    <>
      {link.isError ? <Failed error={link.error} /> : null}
      {(providers.data?.items ?? []).map((one) => (
        <Button key={one.name} loading={link.isPending} onClick={() => go(one.name)}>
          {t('settings:identities.bind', { title: one.title })}
        </Button>
      ))}
    </>
  );
}
