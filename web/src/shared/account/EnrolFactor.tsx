import { useMutation } from '@tanstack/react-query';
import { QRCode, Typography } from 'antd';
import { useTexts } from '../i18n';
import { CodeForm } from './CodeForm';

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
      <CodeForm
        name="confirm"
        label={t('settings:factor.confirm')}
        deed={confirm}
        send={(code) => confirm.mutate(code, { onSuccess: onCodes })}
      />
    </>
  );
}
