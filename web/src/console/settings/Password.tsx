import { useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Form, Input } from 'antd';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';

type Values = { old: string; new: string; again: string };

/** Changes the password; all other sessions end with that. */
export function Password() {
  const { t } = useTexts('settings');
  const [form] = Form.useForm<Values>();
  const queries = useQueryClient();
  const change = api.useMutation('post', '/api/v1/me/password', {
    onSuccess: () => {
      form.resetFields();
      void queries.invalidateQueries({ queryKey: ['get', '/api/v1/me'] });
    },
  });
  const send = (values: Values) => change.mutate({ body: { old: values.old, new: values.new } });
  const missing = { required: true, message: t('settings:password.missing') };
  return (
    <Form<Values>
      form={form}
      name="change"
      layout="vertical"
      requiredMark={false}
      onFinish={send}
      style={{ maxWidth: 420 }}
    >
      <p>{t('settings:password.lead')}</p>
      <Form.Item name="old" label={t('settings:password.old')} rules={[missing]}>
        <Input.Password autoComplete="current-password" />
      </Form.Item>
      <Form.Item
        name="new"
        label={t('settings:password.new')}
        extra={t('settings:password.new.hint')}
        rules={[missing]}
      >
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      <Form.Item
        name="again"
        label={t('settings:password.again')}
        dependencies={['new']}
        rules={[
          missing,
          ({ getFieldValue }) => ({
            validator: (_, value) =>
              !value || value === getFieldValue('new')
                ? Promise.resolve()
                : Promise.reject(new Error(t('settings:password.differs'))),
          }),
        ]}
      >
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      {change.isError ? (
        <Form.Item>
          <Failed error={change.error} />
        </Form.Item>
      ) : null}
      {change.isSuccess ? (
        <Form.Item>
          <Alert type="success" showIcon title={t('settings:password.changed')} />
        </Form.Item>
      ) : null}
      <Button type="primary" htmlType="submit" loading={change.isPending}>
        {t('settings:password.change')}
      </Button>
    </Form>
  );
}
