import { Alert, Button, Form, Input } from 'antd';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from './deeds';

type Preferences = Schemas['PreferencesShown'];
const PATH = '/api/v1/notifications/preferences';

/** The address that mails go to; a new one counts once its code was entered. */
export function Address({ chosen }: { chosen: Preferences }) {
  const { t } = useTexts('settings');
  const change = useDeed((email: string) => http.PATCH(PATH, { body: { email } }), PATH);
  return (
    <>
      <Form<{ email: string }>
        key={chosen.email}
        name="address"
        layout="inline"
        initialValues={{ email: chosen.email }}
        onFinish={({ email }) => change.mutate(email.trim())}
        style={{ marginBottom: 12, rowGap: 12 }}
      >
        <Form.Item name="email" label={t('settings:mail')}>
          <Input type="email" autoComplete="email" maxLength={254} style={{ minWidth: 260 }} />
        </Form.Item>
        <Button htmlType="submit" loading={change.isPending}>
          {t('settings:mail.set')}
        </Button>
      </Form>
      {change.isError ? <Failed error={change.error} /> : null}
      {chosen.email && !chosen.confirmed ? <Confirming email={chosen.email} /> : null}
    </>
  );
}

function Confirming({ email }: { email: string }) {
  const { t } = useTexts('settings');
  const confirm = useDeed((code: string) => http.POST(`${PATH}/confirm`, { body: { code } }), PATH);
  return (
    <Alert
      type="warning"
      title={t('settings:mail.confirm', { email })}
      description={
        <>
          <Form<{ code: string }>
            name="mailed"
            layout="inline"
            onFinish={({ code }) => confirm.mutate(code.trim())}
          >
            <Form.Item name="code" label={t('settings:mail.code')} rules={[{ required: true }]}>
              <Input inputMode="numeric" maxLength={8} autoComplete="off" />
            </Form.Item>
            <Button htmlType="submit" loading={confirm.isPending}>
              {t('settings:mail.send')}
            </Button>
          </Form>
          {confirm.isError ? <Failed error={confirm.error} /> : null}
        </>
      }
    />
  );
}
