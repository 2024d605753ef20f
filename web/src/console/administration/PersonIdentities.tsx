import { Button, Card, Flex, Form, Input, Popconfirm, Select } from 'antd';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import type { Account } from '../session';
import { useDeed } from '../settings/deeds';

type Identity = Schemas['IdentityShown'];
type Wanted = Schemas['IdentityRequest'];
const PATH = '/api/v1/users/{key}/identities';

/** With which accounts of login providers somebody logs in; shown where there are providers. */
export function PersonIdentities({ person }: { person: Account }) {
  const { t } = useTexts('administration');
  const path = { key: person.id };
  const providers = api.useQuery('get', '/api/v1/oidc', {}, { staleTime: Infinity });
  const identities = api.useQuery('get', PATH, { params: { path } });
  const bind = useDeed((body: Wanted) => http.POST(PATH, { params: { path }, body }), PATH);
  const unbind = useDeed(
    (identity: string) =>
      http.DELETE('/api/v1/users/{key}/identities/{identity}', {
        params: { path: { ...path, identity } },
      }),
    PATH,
  );
  const known = providers.data?.items ?? [];
  if (!known.length && !identities.data?.items.length) return null;
  const required = [{ required: true, message: t('administration:missing') }];
  return (
    <Card size="small" title={t('administration:identities')}>
      <Flex vertical gap="middle">
        <Form<Wanted> layout="inline" onFinish={(body) => bind.mutate(body)}>
          <Form.Item name="provider" label={t('administration:provider')} rules={required}>
            <Select
              style={{ minWidth: 180 }}
              options={known.map((one) => ({ value: one.name, label: one.title || one.name }))}
            />
          </Form.Item>
          <Form.Item name="subject" label={t('administration:subject')} rules={required}>
            <Input spellCheck={false} maxLength={255} />
          </Form.Item>
          <Button htmlType="submit" loading={bind.isPending}>
            {t('administration:bind')}
          </Button>
        </Form>
        {bind.isError ? <Failed error={bind.error} /> : null}
        {unbind.isError ? <Failed error={unbind.error} /> : null}
        <Answer query={identities}>
          {({ items }) => (
            <WideTable<Identity>
              size="small"
              pagination={false}
              rowKey={(one) => one.id}
              dataSource={items}
              locale={{ emptyText: t('administration:identities.none') }}
              columns={[
                { title: t('administration:provider'), key: 'p', dataIndex: 'provider' },
                {
                  title: t('administration:subject'),
                  key: 'subject',
                  render: (_, one) => <Id value={one.subject} />,
                },
                {
                  title: t('administration:created'),
                  key: 'created',
                  render: (_, one) => <Moment at={one.created} />,
                },
                {
                  title: t('administration:deeds'),
                  key: 'deeds',
                  render: (_, one) => (
                    <Popconfirm
                      title={t('administration:unbind.ask')}
                      okText={t('administration:unbind')}
                      cancelText={t('administration:cancel')}
                      onConfirm={() => unbind.mutate(one.id)}
                    >
                      <Button type="link" danger size="small">
                        {t('administration:unbind')}
                      </Button>
                    </Popconfirm>
                  ),
                },
              ]}
            />
          )}
        </Answer>
      </Flex>
    </Card>
  );
}
