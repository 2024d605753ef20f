import { Card, Flex, Typography } from 'antd';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';

const COMMANDS = [
  'secureflow server ca status',
  'secureflow server ca rotate',
  'secureflow server ca switch',
  'secureflow server ca retire',
] as const;

/** The root of the links' certificates: to be fetched here, changed by command beside the keys. */
export function Authorities() {
  const { t } = useTexts('administration');
  const copy: [string, string] = [t('common:copy'), t('common:copied')];
  return (
    <Flex vertical gap="middle">
      <Card size="small" title={t('administration:authority')}>
        <p>{t('administration:authority.hint')}</p>
        <a href={`${prefix()}/api/v1/ca`} download="ca.pem">
          {t('administration:authority.fetch')}
        </a>
      </Card>
      <Card size="small" title={t('administration:authority.change')}>
        <p>{t('administration:authority.change.hint')}</p>
        {COMMANDS.map((one) => (
          <Typography.Paragraph key={one} code copyable={{ text: one, tooltips: copy }}>
            {one}
          </Typography.Paragraph>
        ))}
      </Card>
    </Flex>
  );
}
