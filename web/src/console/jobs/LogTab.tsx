import { Input, Table } from 'antd';
import { useMemo, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Empty } from '../../shared/states/Empty';
import type { JobEvent } from './events';

/** What an event says, in one line. */
export function lineOf(event: JobEvent): string {
  const { message, reason, state, party, round } = event.data;
  const told = [party, state, round, message, reason].filter(
    (one) => typeof one === 'string' || typeof one === 'number',
  );
  return told.length ? told.join('  ') : JSON.stringify(event.data);
}

/** The job's events as a log: virtual, so that 50,000 lines scroll, and searchable. */
export function LogTab({ events }: { events: readonly JobEvent[] }) {
  const { t } = useTexts('jobs');
  const [sought, seek] = useState('');
  const rows = useMemo(() => {
    const text = sought.trim().toLowerCase();
    const newest = [...events].reverse();
    if (!text) return newest;
    return newest.filter((one) => `${one.kind} ${lineOf(one)}`.toLowerCase().includes(text));
  }, [events, sought]);
  return (
    <>
      <Input.Search
        allowClear
        aria-label={t('jobs:log.search')}
        placeholder={t('jobs:log.search')}
        style={{ maxWidth: 360, marginBlockEnd: 8 }}
        onChange={(event) => seek(event.target.value)}
      />
      <Table<JobEvent>
        virtual
        size="small"
        pagination={false}
        rowKey={(one) => one.id}
        dataSource={rows}
        scroll={{ y: 480, x: 800 }}
        locale={{ emptyText: <Empty title={t('jobs:log.none')} /> }}
        columns={[
          {
            title: t('jobs:since'),
            key: 'at',
            width: 150,
            render: (_, one) => <Moment at={one.at} />,
          },
          { title: t('jobs:log.kind'), key: 'kind', width: 120, dataIndex: 'kind' },
          { title: t('jobs:log.what'), key: 'line', ellipsis: true, render: (_, one) => lineOf(one) },
        ]}
      />
    </>
  );
}
