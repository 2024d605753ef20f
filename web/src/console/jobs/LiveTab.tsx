import { Card, Flex, Progress, Tag } from 'antd';
import { lazy, Suspense, useMemo } from 'react';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Empty } from '../../shared/states/Empty';
import { Loading } from '../../shared/states/Loading';
import { absentOf, withAbsent, withApproved } from './absent';
import { dropsOf, lanesOf, plannedOf, roundsOf, type Drop, type JobEvent, type Lane } from './events';
import { PartsTable } from './PartsTable';
import type { Job } from './useJob';
import { partiesOf } from './words';

const Curves = lazy(() => import('./Curves'));
const LANES: Record<string, string> = {
  approved: 'processing',
  admitted: 'processing',
  contributed: 'success',
  waits: 'warning',
  absent: 'error',
  renewing: 'warning',
  refused: 'error',
  silent: 'warning',
  out: 'error',
};

/** A job's course: curves as rounds close, a lane for each party, who dropped out and why. */
export function LiveTab({ job, events }: { job: Job; events: readonly JobEvent[] }) {
  const { t } = useTexts('jobs');
  const rounds = useMemo(() => roundsOf(events), [events]);
  const planned = plannedOf(events);
  const drops = dropsOf(events);
  const asked = withApproved(lanesOf(partiesOf(job.spec), events), job);
  const lanes = withAbsent(asked, absentOf(job));
  return (
    <Flex vertical gap="middle">
      {planned > 1 ? (
        <Progress
          aria-label={t('jobs:rounds')}
          percent={Math.round((100 * rounds.length) / planned)}
          format={() => `${rounds.length} / ${planned}`}
        />
      ) : null}
      <PartsTable job={job} events={events} />
      {rounds.length > 1 ? (
        <Card size="small" title={t('jobs:curves')}>
          <Suspense fallback={<Loading />}>
            <Curves rounds={rounds} label={t('jobs:curves')} />
          </Suspense>
        </Card>
      ) : null}
      <Card size="small" title={t('jobs:parties')}>
        {lanes.length ? <Lanes lanes={lanes} /> : <Empty title={t('jobs:parties.none')} />}
      </Card>
      {drops.length ? <Drops drops={drops} /> : null}
    </Flex>
  );
}

function Lanes({ lanes }: { lanes: Lane[] }) {
  const { t, has } = useTexts('jobs');
  return (
    <WideTable<Lane>
      size="small"
      pagination={false}
      rowKey={(one) => one.party}
      dataSource={lanes}
      columns={[
        { title: t('jobs:party'), key: 'party', dataIndex: 'party' },
        {
          title: t('jobs:state'),
          key: 'state',
          render: (_, one) => (
            <Tag color={LANES[one.state] ?? 'default'}>
              {has(`jobs:lane.${one.state}`) ? t(`jobs:lane.${one.state}`) : one.state}
            </Tag>
          ),
        },
        { title: t('jobs:why'), key: 'why', render: (_, one) => one.reason },
        {
          title: t('jobs:since'),
          key: 'since',
          render: (_, one) => (one.at ? <Moment at={one.at} /> : null),
        },
      ]}
    />
  );
}

function Drops({ drops }: { drops: Drop[] }) {
  const { t } = useTexts('jobs');
  return (
    <Card size="small" title={t('jobs:drops')}>
      <WideTable<Drop>
        size="small"
        pagination={false}
        rowKey={(one) => `${one.party}/${one.round}/${one.stage}`}
        dataSource={drops}
        columns={[
          { title: t('jobs:party'), key: 'party', dataIndex: 'party' },
          {
            title: t('jobs:round'),
            key: 'round',
            align: 'right',
            className: 'number',
            dataIndex: 'round',
          },
          { title: t('jobs:stage'), key: 'stage', dataIndex: 'stage' },
          { title: t('jobs:why'), key: 'why', render: (_, one) => one.reason || one.code },
        ]}
      />
    </Card>
  );
}
