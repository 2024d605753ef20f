import { Button, Form, Input, QRCode, Typography } from 'antd';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from './deeds';

type Props = { begun: Schemas['Enrolment']; onCodes: (codes: string[]) => void };

/** The secret, as a picture for the app and as text; a code proves that the app has it. */
export function Enrolling({ begun, onCodes }: Props) {
  const { t } = useTexts('settings');
  const confirm = useDeed(
    (code: string) => http.POST('/api/v1/me/second-factor/confirm', { body: { code } }),
    '/api/v1/me/second-factor',
  );
  const send = ({ code }: { code: string }) =>
    confirm.mutate(code.replaceAll(' ', ''), {
      onSuccess: (answer) => onCodes(answer.data?.recovery ?? []),
    });
  return (
    <>
      <p>{t('settings:factor.scan')}</p>
      <div role="img" aria-label={t('settings:factor.picture')}>
        <QRCode type="svg" value={begun.uri} size={200} color="#000" bgColor="#fff" />
      </div>
      <p>
        {t('settings:factor.secret')}{' '}
        <Typography.Text code copyable data-testid="secret">
          {begun.secret}
        </Typography.Text>
      </p>
      <Form<{ code: string }> name="confirm" layout="inline" onFinish={send}>
        <Form.Item
          name="code"
          label={t('settings:factor.code')}
          rules={[{ required: true, message: t('settings:factor.code.missing') }]}
        >
          <Input autoComplete="one-time-code" inputMode="numeric" spellCheck={false} />
        </Form.Item>
        <Button type="primary" htmlType="submit" loading={confirm.isPending}>
          {t('settings:factor.confirm')}
        </Button>
      </Form>
      {confirm.isError ? <Failed error={confirm.error} /> : null}
    </>
  );
}
