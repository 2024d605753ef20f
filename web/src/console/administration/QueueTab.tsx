import { useQueryClient } from '@tanstack/react-query';
import { Tag } from 'antd';
import { Link } from 'react-router';
import { api, type Schemas } from '../../api/client';
import { stale } from '../../api/queries';
import { useTexts } from '../../shared/i18n';
import { useLive } from '../../shared/live';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { unmoved } from './queue';

type Line = Schemas['QueueLine'];

/** Jobs that wait for their turn, in order, and those that have it. */
export function QueueTab() {
  const { t, has } = useTexts('administration');
  const queries = useQueryClient();
  const queue = api.useQuery('get', '/api/v1/queue');
  useLive(['job'], ({ data }) => {
    const row = data['job'] as Schemas['JobSummary'] | undefined;
    if (!unmoved(queue.data?.items, row)) stale(queries, '/api/v1/queue');
  });
  return (
    <Answer
      query={queue}
      empty={{
        when: ({ items }) => !items.length,
        show: <Empty title={t('administration:queue.none')} />,
      }}
    >
      {({ items }) => (
        <WideTable<Line>
          size="small"
          pagination={false}
          rowKey={(one) => one.job}
          dataSource={items}
          columns={[
            {
              title: t('administration:job'),
              key: 'job',
              render: (_, one) =>
                one.job ? <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link> : '',
            },
            { title: t('administration:organisation'), key: 'o', dataIndex: 'organisation' },
            { title: t('administration:priority'), key: 'p', dataIndex: 'priority' },
            {
              title: t('administration:state'),
              key: 'state',
              render: (_, one) =>
                one.started ? (
                  <Tag color="processing">{t('administration:queue.runs')}</Tag>
                ) : has(`administration:waits.${one.waits_for}`) ? (
                  t(`administration:waits.${one.waits_for}`)
                ) : (
                  one.waits_for
                ),
            },
            {
              title: t('administration:ahead'),
              key: 'ahead',
              align: 'right',
              className: 'number',
              dataIndex: 'ahead',
            },
            {
              title: t('administration:since'),
              key: 'since',
              render: (_, one) => <Moment at={one.since} />,
            },
          ]}
        />
      )}
    </Answer>
  );
}
