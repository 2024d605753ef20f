import { Card, Descriptions, Flex, Typography } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import type { Job } from './useJob';
import { partiesOf } from './words';
import css from './Request.module.css';

/** What every owner was asked to sign: the whole spec, and its digest. */
export function RequestTab({ job }: { job: Job }) {
  const { t } = useTexts('jobs');
  const shown = JSON.stringify(job.spec, null, 2);
  const copy: [string, string] = [t('common:copy'), t('common:copied')];
  return (
    <Flex vertical gap="middle">
      <Card size="small">
        <Descriptions
          size="small"
          column={{ xs: 1, md: 2 }}
          items={[
            { key: 'submitter', label: t('jobs:submitter'), children: job.submitter },
            { key: 'organisation', label: t('jobs:organisation'), children: job.organisation },
            { key: 'created', label: t('jobs:created'), children: <Moment at={job.created} /> },
            { key: 'parties', label: t('jobs:parties'), children: partiesOf(job.spec).join(', ') },
            {
              key: 'digest',
              label: t('jobs:digest'),
              span: 'filled',
              children: <Id value={job.digest} />,
            },
          ]}
        />
      </Card>
      <Card
        size="small"
        title={t('jobs:spec')}
        extra={<Typography.Text copyable={{ text: shown, tooltips: copy }} />}
      >
        <pre className={css['spec']} tabIndex={0} aria-label={t('jobs:spec')}>
          {shown}
        </pre>
      </Card>
    </Flex>
  );
}
