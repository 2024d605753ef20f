import { Button, Form, Input } from 'antd';
import { useTexts } from '../i18n';
import { Failed } from '../states/Failed';

type Props = {
  /** The form's name, of which its fields' ids are made. */
  name: string;
  /** What the button says. */
  label: string;
  danger?: boolean;
  /** How the deed goes: it waits, or has failed. */
  deed: { isPending: boolean; isError: boolean; error: unknown };
  /** Takes the code without its blanks. */
  send: (code: string) => void;
};

/** A code of the authenticator app, and what is done with it. */
export function CodeForm({ name, label, danger = false, deed, send }: Props) {
  const { t } = useTexts('settings');
  return (
    <>
      <Form<{ code: string }>
        name={name}
        layout="inline"
        onFinish={({ code }) => send(code.replaceAll(' ', ''))}
      >
        <Form.Item
          name="code"
          label={t('settings:factor.code')}
          rules={[{ required: true, message: t('settings:factor.code.missing') }]}
        >
          <Input autoComplete="one-time-code" spellCheck={false} />
        </Form.Item>
        <Button {...(danger ? { danger } : { type: 'primary' })} htmlType="submit" loading={deed.isPending}>
          {label}
        </Button>
      </Form>
      {deed.isError ? <Failed error={deed.error} /> : null}
    </>
  );
}
