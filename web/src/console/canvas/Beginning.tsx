import { Button, Flex, Tooltip, Typography } from 'antd';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';

/** Above an empty drawing: what most people begin with, and how else one can begin. */
export function Beginning({ template }: { template: (key: string) => void }) {
  const { t } = useTexts('canvas');
  const templates = api.useQuery('get', '/api/v1/job-templates', {}, { staleTime: Infinity });
  return (
    <section aria-label={t('canvas:begin')}>
      <Typography.Text strong>{t('canvas:begin')}</Typography.Text>
      <p>{t('canvas:begin.hint')}</p>
      <Flex gap="small" wrap>
        {(templates.data ?? []).map((one) => (
          <Tooltip key={one.key} title={one.sentence}>
            <Button onClick={() => template(one.key)}>{one.title}</Button>
          </Tooltip>
        ))}
      </Flex>
    </section>
  );
}
