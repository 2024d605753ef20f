import { Typography } from 'antd';
import { useTexts } from '../i18n';

/** An id that people decide on: always whole, to be copied. */
export function Id({ value }: { value: string }) {
  const { t } = useTexts();
  return (
    <Typography.Text code copyable={{ text: value, tooltips: [t('common:copy'), t('common:copied')] }}>
      {value}
    </Typography.Text>
  );
}
