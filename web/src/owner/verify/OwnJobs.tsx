import { Select, Table, Tag, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { Answer } from '../../shared/states/Answer';
import { api } from '../api';
import { Section } from '../parts/Section';
import { readLeaves, type OwnLeaf } from './leaves';

/** What this agent itself saw proved of a job, without any bundle: its own entries in the log. */
export function OwnJobs() {
  const { t } = useTexts('verifier');
  const [job, choose] = useState('');
  const datasets = api.useQuery('get', '/api/datasets');
  const uses = datasets.data?.usage.uses ?? [];
  const jobs = [...new Map(uses.map((one) => [one.job, one.purpose])).entries()];
  return (
    <Section title={t('verifier:own')}>
      <p>{t('verifier:own.hint')}</p>
      <Select<string>
        showSearch
        aria-label={t('verifier:own.choose')}
        placeholder={t('verifier:own.choose')}
        style={{ width: 480, maxWidth: '100%' }}
        loading={datasets.isFetching}
        onChange={choose}
        options={jobs.map(([id, purpose]) => ({ value: id, label: `${purpose} (${id})` }))}
      />
      {job ? <Leaves job={job} /> : null}
    </Section>
  );
}

function Leaves({ job }: { job: string }) {
  const { t } = useTexts('verifier');
  const query = api.useQuery('get', '/api/jobs/{job}/leaves', { params: { path: { job } } });
  const columns: TableColumnsType<OwnLeaf> = [
    { title: t('verifier:kind'), dataIndex: 'kind' },
    { title: t('verifier:hash'), key: 'hash', render: (_, one) => <code>{one.hash}</code> },
    {
      title: t('verifier:proved'),
      key: 'proved',
      render: (_, one) => (
        <Tag color={one.proved ? 'success' : 'warning'}>
          {t(one.proved ? 'verifier:proved.yes' : 'verifier:proved.no')}
        </Tag>
      ),
    },
  ];
  return (
    <Answer
      query={query}
      empty={{ when: (one) => !one.leaves.length, show: <p>{t('verifier:own.none')}</p> }}
    >
      {({ leaves }) => (
        <Table<OwnLeaf>
          size="small"
          columns={columns}
          dataSource={readLeaves(leaves)}
          rowKey={(one) => one.hash}
          scroll={{ x: 760 }}
          pagination={leaves.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
        />
      )}
    </Answer>
  );
}
