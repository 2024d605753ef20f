import { Button, Form, Input, InputNumber, Select } from 'antd';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from './deeds';

type Wanted = Schemas['TokenRequest'];
type Values = Required<Pick<Wanted, 'label' | 'days' | 'scopes'>>;

const SCOPES = ['all', 'read', 'jobs', 'data', 'people', 'admin'] as const;

/** Makes a token; its text is shown once. */
export function NewToken({ onMade }: { onMade: (text: string) => void }) {
  const { t } = useTexts('settings');
  const [form] = Form.useForm<Values>();
  const make = useDeed(
    (body: Values) => http.POST('/api/v1/tokens', { body }),
    '/api/v1/tokens',
  );
  const send = (values: Values) =>
    make.mutate(values, {
      onSuccess: (answer) => {
        onMade(answer.data?.token ?? '');
        form.resetFields();
      },
    });
  return (
    <Form<Values>
      form={form}
      name="token"
      layout="inline"
      onFinish={send}
      initialValues={{ label: '', days: 30, scopes: ['jobs', 'read'] }}
      style={{ margin: '12px 0', rowGap: 12 }}
    >
      <Form.Item name="label" label={t('settings:tokens.label')}>
        <Input maxLength={200} placeholder={t('settings:tokens.label.hint')} />
      </Form.Item>
      <Form.Item name="days" label={t('settings:tokens.days')}>
        <InputNumber min={1} max={90} />
      </Form.Item>
      <Form.Item
        name="scopes"
        label={t('settings:tokens.scopes')}
        rules={[{ required: true, message: t('settings:tokens.scopes.missing') }]}
      >
        <Select
          mode="multiple"
          style={{ minWidth: 240 }}
          options={SCOPES.map((value) => ({ value, label: t(`settings:scope.${value}`) }))}
        />
      </Form.Item>
      <Button type="primary" htmlType="submit" loading={make.isPending}>
        {t('settings:tokens.make')}
      </Button>
      {make.isError ? <Failed error={make.error} /> : null}
    </Form>
  );
}
