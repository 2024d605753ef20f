import { useMutation } from '@tanstack/react-query';
import { Button, Form, Input, QRCode, Typography } from 'antd';
import { useTexts } from '../i18n';
import { Failed } from '../states/Failed';

type Props = {
  /** The secret as an authenticator app reads it from the picture (otpauth). */
  address: string;
  secret: string;
  /** Proves by a code that the app has it; the recovery codes come of it. */
  prove: (code: string) => Promise<readonly string[]>;
  onCodes: (codes: readonly string[]) => void;
};

/** The secret, as a picture for the app and as text; a code proves that the app has it. */
export function EnrolFactor({ address, secret, prove, onCodes }: Props) {
  const { t } = useTexts('settings');
  const confirm = useMutation({ mutationFn: prove });
  const send = ({ code }: { code: string }) =>
    confirm.mutate(code.replaceAll(' ', ''), { onSuccess: onCodes });
  return (
    <>
      <p>{t('settings:factor.scan')}</p>
      <div>
        <QRCode
          type="svg"
          value={address}
          size={200}
          color="#000"
          bgColor="#fff"
          aria-label={t('settings:factor.picture')}
        />
      </div>
      <p>
        {t('settings:factor.secret')}{' '}
        <Typography.Text code copyable data-testid="secret">
          {secret}
        </Typography.Text>
      </p>
      <Form<{ code: string }> name="confirm" layout="inline" onFinish={send}>
        <Form.Item
          name="code"
          label={t('settings:factor.code')}
          rules={[{ required: true, message: t('settings:factor.code.missing') }]}
        >
          <Input autoComplete="one-time-code" spellCheck={false} />
        </Form.Item>
        <Button type="primary" htmlType="submit" loading={confirm.isPending}>
          {t('settings:factor.confirm')}
        </Button>
      </Form>
      {confirm.isError ? <Failed error={confirm.error} /> : null}
    </>
  );
}
