import { Typography } from 'antd';
import { useTexts } from '../i18n';

/** A digest: its first characters for the eye, the whole of it on copy. */
export function Digest({ value }: { value: string }) {
  const { t } = useTexts();
  const copy = t('common:copy');
  return (
    <Typography.Text
      code
      title={value}
      copyable={{ text: value, tooltips: [copy, t('common:copied')], tabIndex: 0 }}
    >
      {value.replace(/^sha256:/, '').slice(0, 8)}
    </Typography.Text>
  );
}
