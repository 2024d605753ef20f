import { Input, Table } from 'antd';
import { useMemo, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Empty } from '../../shared/states/Empty';
import { Loading } from '../../shared/states/Loading';
import { usePreferences } from '../../shared/preferences';
import type { JobEvent } from './events';
import { kindWord, lineOf, type Words } from './logline';

/** The job's events as a log: virtual, so that 50,000 lines scroll, and searchable. */
export function LogTab({ events, loading }: { events: readonly JobEvent[]; loading: boolean }) {
  const { t, has } = useTexts('jobs');
  const { language } = usePreferences();
  const words = useMemo((): Words => ({ t, has, language }), [t, has, language]);
  const [sought, seek] = useState('');
  const rows = useMemo(() => {
    const text = sought.trim().toLowerCase();
    const newest = [...events].reverse();
    if (!text) return newest;
    return newest.filter((one) =>
      `${kindWord(one.kind, words)} ${lineOf(one, words)}`.toLowerCase().includes(text),
    );
  }, [events, sought, words]);
  if (loading && !events.length) return <Loading />;
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
          { title: t('jobs:log.kind'), key: 'kind', width: 120, render: (_, one) => kindWord(one.kind, words) },
          { title: t('jobs:log.what'), key: 'line', ellipsis: true, render: (_, one) => lineOf(one, words) },
        ]}
      />
    </>
  );
}
