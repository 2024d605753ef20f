import { Card } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { StateTag } from '../../shared/parts/StateTag';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { shownMetric } from '../models/card';
import type { JobEvent } from './events';
import { partsOf, withWaiting, type PartRow } from './parts';
import type { Job } from './useJob';

const MANY = 12;

/** The jobs that a sweep, a timetable or a pipeline starts; nothing for other jobs. */
export function PartsTable({ job, events }: { job: Job; events: readonly JobEvent[] }) {
  const { t, has } = useTexts('jobs');
  const { language } = usePreferences();
  const rows = withWaiting(partsOf(events), job);
  if (!rows.length) return null;
  const names = [...new Set(rows.flatMap((one) => Object.keys(one.metrics)))];
  return (
    <Card size="small" title={t('jobs:parts')}>
      <WideTable<PartRow>
        virtual={rows.length > MANY}
        size="small"
        pagination={false}
        rowKey={(one) => one.number}
        dataSource={rows}
        scroll={rows.length > MANY ? { y: 420, x: 900 } : { x: 'max-content' }}
        columns={[
          {
            title: t('jobs:part.number'),
            key: 'number',
            width: 80,
            align: 'right',
            className: 'number',
            dataIndex: 'place',
          },
          { title: t('jobs:part.what'), key: 'label', dataIndex: 'label' },
          {
            title: t('jobs:state'),
            key: 'state',
            width: 130,
            render: (_, one) => <StateTag state={one.state} />,
          },
          ...(rows.some((one) => one.rounds)
            ? [
                {
                  title: t('jobs:rounds'),
                  key: 'rounds',
                  align: 'right' as const,
                  className: 'number',
                  render: (_: unknown, one: PartRow) => one.rounds || '',
                },
              ]
            : []),
          ...names.map((name) => ({
            title: has(`words:metric.${name}`) ? t(`words:metric.${name}`) : name,
            key: name,
            align: 'right' as const,
            className: 'number',
            sorter: (a: PartRow, b: PartRow) => (a.metrics[name] ?? 0) - (b.metrics[name] ?? 0),
            render: (_: unknown, one: PartRow) => {
              const value = one.metrics[name];
              return value === undefined ? '' : shownMetric({ name, value }, language);
            },
          })),
          { title: t('jobs:why'), key: 'why', dataIndex: 'error' },
          {
            title: t('jobs:job'),
            key: 'job',
            render: (_, one) =>
              one.job ? <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link> : '',
          },
          {
            title: t('jobs:since'),
            key: 'at',
            render: (_, one) => (one.at ? <Moment at={one.at} /> : null),
          },
        ]}
      />
    </Card>
  );
}
