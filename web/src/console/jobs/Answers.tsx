import { Alert, Card, Flex, Statistic } from 'antd';
import { number } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { members, text, texts } from '../models/card';
import { answersOf, askedIn, type AnswerRow } from './answers';

type Props = { report: Record<string, unknown> };

/** Answers of statistics: each value with the interval in which it lies 95 times in 100. */
export function Answers({ report }: Props) {
  const { t } = useTexts('jobs');
  const { language } = usePreferences();
  const rows = answersOf(report, language);
  if (!rows.length) return null;
  const many = rows.length > 20;
  return (
    <Card size="small" title={t('jobs:answers')}>
      <WideTable<AnswerRow>
        virtual={many}
        size="small"
        pagination={false}
        rowKey={(one) => one.key}
        dataSource={rows}
        scroll={many ? { y: 480, x: 900 } : { x: 'max-content' }}
        columns={[
          { title: t('jobs:answer.query'), key: 'query', render: (_, one) => askedIn(one, t) },
          { title: t('jobs:answer.of'), key: 'of', dataIndex: 'of' },
          {
            title: t('jobs:answer.value'),
            key: 'value',
            align: 'right',
            className: 'number',
            render: (_, one) => one.value || one.reason,
          },
          {
            title: t('jobs:answer.interval'),
            key: 'interval',
            align: 'right',
            className: 'number',
            dataIndex: 'interval',
          },
        ]}
      />
    </Card>
  );
}

/** How many keys parties share; where the report does not say so, who keeps the answer. */
export function Shared({ report }: Props) {
  const { t } = useTexts('jobs');
  const { language } = usePreferences();
  const told = members(report['intersection']);
  const learners = texts(told['learners']);
  const counted = Object.entries(members(told['matched'])).filter(
    (one): one is [string, number] => typeof one[1] === 'number',
  );
  if (!learners.length) return null;
  return (
    <Card size="small" title={t('jobs:shared')}>
      {counted.length ? (
        <>
          <Flex gap="large" wrap>
            {counted.map(([party, count]) => (
              <Statistic
                key={party}
                title={t('jobs:shared.by', { party })}
                value={number(count, language)}
              />
            ))}
          </Flex>
          <p>{t('jobs:shared.exact')}</p>
        </>
      ) : (
        <Kept parties={learners} job={text(report['job'])} />
      )}
    </Card>
  );
}

function Kept({ parties, job }: { parties: string[]; job: string }) {
  const { t } = useTexts('jobs');
  return (
    <Alert
      type="info"
      showIcon
      title={t('jobs:shared.kept', { count: parties.length, parties: parties.join(', ') })}
      description={
        <>
          {t('jobs:shared.next')} <Id value={`secureflow agent results show ${job}`} />
        </>
      }
    />
  );
}
