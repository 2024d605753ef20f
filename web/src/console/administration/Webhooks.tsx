import { Alert, Button, Flex, Form, Input, Popconfirm, Select, Space, Typography } from 'antd';
import { useState } from 'react';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { useMe } from '../session';
import { useDeed } from '../settings/deeds';

type Webhook = Schemas['WebhookShown'];
type Wanted = Schemas['WebhookRequest'];
const PATH = '/api/v1/webhooks';

/** Addresses of the organisation's own systems that are told of events, each answer signed. */
export function Webhooks() {
  const { t } = useTexts('administration');
  const me = useMe().data;
  const [made, keep] = useState<Webhook | null>(null);
  const list = api.useQuery('get', PATH, { params: { query: { limit: 200 } } });
  const remove = useDeed(
    (key: string) => http.DELETE('/api/v1/webhooks/{key}', { params: { path: { key } } }),
    PATH,
  );
  const test = useDeed((key: string) =>
    http.POST('/api/v1/webhooks/{key}/test', { params: { path: { key } } }),
    '/api/v1/deliveries',
  );
  return (
    <Flex vertical gap="middle">
      <Typography.Text type="secondary">{t('administration:webhooks.hint')}</Typography.Text>
      {me?.roles.includes('organisation-admin') ? <NewWebhook made={keep} /> : null}
      {made ? <Secret webhook={made} /> : null}
      {remove.isError ? <Failed error={remove.error} /> : null}
      {test.isError ? <Failed error={test.error} /> : null}
      {test.isSuccess ? <Alert type="success" title={t('administration:webhook.tested')} /> : null}
      <Answer query={list}>
        {({ items }) => (
          <WideTable<Webhook>
            size="small"
            pagination={false}
            rowKey={(one) => one.id}
            dataSource={items}
            locale={{ emptyText: t('administration:webhooks.none') }}
            columns={[
              { title: t('administration:address'), key: 'url', dataIndex: 'url' },
              { title: t('administration:organisation'), key: 'o', dataIndex: 'organisation' },
              {
                title: t('administration:kinds'),
                key: 'kinds',
                render: (_, one) =>
                  one.kinds.length
                    ? one.kinds.map((kind) => t(`words:notice.${kind}`)).join(', ')
                    : t('administration:kinds.all'),
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
                  <Space>
                    <Button type="link" size="small" onClick={() => test.mutate(one.id)}>
                      {t('administration:webhook.test')}
                    </Button>
                    <Popconfirm
                      title={t('administration:webhook.remove.ask')}
                      okText={t('administration:webhook.remove')}
                      cancelText={t('administration:cancel')}
                      onConfirm={() => remove.mutate(one.id)}
                    >
                      <Button type="link" danger size="small">
                        {t('administration:webhook.remove')}
                      </Button>
                    </Popconfirm>
                  </Space>
                ),
              },
            ]}
          />
        )}
      </Answer>
    </Flex>
  );
}

function NewWebhook({ made }: { made: (one: Webhook | null) => void }) {
  const { t } = useTexts('administration');
  const [form] = Form.useForm<Wanted>();
  const kinds = api.useQuery('get', '/api/v1/notifications/kinds', {}, { staleTime: Infinity });
  const create = useDeed((body: Wanted) => http.POST(PATH, { body }), PATH);
  const send = (body: Wanted) =>
    create.mutate(body, {
      onSuccess: (answer) => {
        made(answer.data ?? null);
        form.resetFields();
      },
    });
  return (
    <>
      <Form<Wanted>
        form={form}
        layout="inline"
        style={{ rowGap: 12 }}
        initialValues={{ kinds: [] }}
        onFinish={send}
      >
        <Form.Item
          name="url"
          label={t('administration:address')}
          rules={[{ required: true, message: t('administration:missing') }]}
        >
          <Input spellCheck={false} style={{ minWidth: 320 }} maxLength={2000} />
        </Form.Item>
        <Form.Item name="kinds" label={t('administration:kinds')}>
          <Select
            mode="multiple"
            style={{ minWidth: 280 }}
            maxTagCount="responsive"
            placeholder={t('administration:kinds.all')}
            options={(kinds.data?.items ?? []).map((one) => ({
              value: one.name,
              label: t(`words:notice.${one.name}`),
            }))}
          />
        </Form.Item>
        <Button type="primary" htmlType="submit" loading={create.isPending}>
          {t('administration:webhook.add')}
        </Button>
      </Form>
      {create.isError ? <Failed error={create.error} /> : null}
    </>
  );
}

/** The secret by which the receiver checks signatures: shown once. */
function Secret({ webhook }: { webhook: Webhook }) {
  const { t } = useTexts('administration');
  return (
    <Alert
      type="success"
      showIcon
      title={t('administration:webhook.secret')}
      description={
        <>
          <Typography.Paragraph
            code
            copyable={{
              text: webhook.secret,
              tooltips: [t('common:copy'), t('common:copied')],
            }}
          >
            {webhook.secret}
          </Typography.Paragraph>
          {webhook.warning}
        </>
      }
    />
  );
}
