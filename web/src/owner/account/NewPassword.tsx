import { useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { http } from '../api';
import { useDeed } from '../deeds';
import { forgetSession } from '../session';

type Values = { old: string; new: string; again: string };

/** Changes the password; every session ends with that, this one too. */
export function NewPassword() {
  const { t } = useTexts('ownpeople', 'settings');
  const queries = useQueryClient();
  const [form] = Form.useForm<Values>();
  const change = useDeed((values: Values) =>
    http.POST('/api/account/password', { body: { old: values.old, new: values.new } }),
  );
  const done = () => {
    form.resetFields();
    forgetSession(queries);
  };
  const missing = { required: true, message: t('settings:password.missing') };
  return (
    <Form<Values>
      form={form}
      name="change"
      layout="vertical"
      requiredMark={false}
      onFinish={(values) => change.mutate(values, { onSuccess: done })}
      style={{ maxWidth: 420 }}
    >
      <p>{t('ownpeople:password.lead')}</p>
      <Form.Item name="old" label={t('settings:password.old')} rules={[missing]}>
        <Input.Password autoComplete="current-password" maxLength={1024} />
      </Form.Item>
      <Form.Item
        name="new"
        label={t('settings:password.new')}
        extra={t('settings:password.new.hint')}
        rules={[missing]}
      >
        <Input.Password autoComplete="new-password" maxLength={1024} />
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
        <Input.Password autoComplete="new-password" maxLength={1024} />
      </Form.Item>
      {change.isError ? (
        <Form.Item>
          <Failed error={change.error} />
        </Form.Item>
      ) : null}
      <Button type="primary" htmlType="submit" loading={change.isPending}>
        {t('settings:password.change')}
      </Button>
    </Form>
  );
}
