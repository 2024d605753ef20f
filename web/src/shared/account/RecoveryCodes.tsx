import { Alert, Button, Typography } from 'antd';
import { useTexts } from '../i18n';

type Props = { codes: readonly string[]; onKept: () => void };

/** The codes for the day the app is lost; they are shown this once. */
export function RecoveryCodes({ codes, onKept }: Props) {
  const { t } = useTexts('settings');
  return (
    <Alert
      type="success"
      showIcon
      title={t('settings:recovery.title')}
      description={
        <>
          <p>{t('settings:recovery.hint')}</p>
          <Typography.Paragraph copyable={{ text: codes.join('\n') }}>
            <ol aria-label={t('settings:recovery.title')}>
              {codes.map((code) => (
                <li key={code}>
                  <code>{code}</code>
                </li>
              ))}
            </ol>
          </Typography.Paragraph>
          <Button onClick={onKept}>{t('settings:recovery.kept')}</Button>
        </>
      }
    />
  );
}
