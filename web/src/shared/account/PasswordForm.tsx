import { useMutation } from '@tanstack/react-query';
import { Alert, Button, Form, Input } from 'antd';
import { useTexts } from '../i18n';
import { Failed } from '../states/Failed';

type Values = { old: string; new: string; again: string };
type Props = {
  /** What becomes of the sessions with it. */
  lead: string;
  change: (old: string, chosen: string) => Promise<unknown>;
  /** Called once it is changed; without it that is said here. */
  onDone?: () => void;
};

/** Changes a password: the one that counts now, and the new one twice. */
export function PasswordForm({ lead, change: send, onDone }: Props) {
  const { t } = useTexts('settings');
  const [form] = Form.useForm<Values>();
  const change = useMutation({
    mutationFn: (values: Values) => send(values.old, values.new),
    onSuccess: () => {
      form.resetFields();
      onDone?.();
    },
  });
  const missing = { required: true, message: t('settings:password.missing') };
  return (
    <Form<Values>
      form={form}
      name="change"
      layout="vertical"
      requiredMark={false}
      onFinish={(values) => change.mutate(values)}
      style={{ maxWidth: 420 }}
    >
      <p>{lead}</p>
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
      {change.isSuccess && !onDone ? (
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
