import { Table, type TableColumnsType } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { useHoldingWords } from '../data/words';
import { epsilon } from '../parts/figures';

type Entry = Schemas['BudgetEntry'];

/** The jobs that have some of a budget. */
export function Charges({ entries }: { entries: readonly Entry[] }) {
  const { t } = useTexts('holdings');
  const { language } = usePreferences();
  const words = useHoldingWords();
  if (!entries.length) return <p>{t('holdings:usage.none')}</p>;
  const columns: TableColumnsType<Entry> = [
    { title: t('holdings:job'), key: 'job', render: (_, one) => <Id value={one.job} /> },
    {
      title: t('holdings:whole'),
      key: 'whole',
      render: (_, one) => (one.whole ? <Id value={one.whole} /> : null),
    },
    { title: t('holdings:state'), key: 'state', render: (_, one) => words.charge(one.state) },
    {
      title: t('holdings:releases'),
      key: 'releases',
      align: 'right',
      className: 'number',
      render: (_, one) => one.releases,
    },
    {
      title: 'ε',
      key: 'epsilon',
      align: 'right',
      className: 'number',
      render: (_, one) => epsilon(one.epsilon, language),
    },
  ];
  return (
    <Table<Entry>
      size="small"
      columns={columns}
      dataSource={entries}
      rowKey={(one) => one.job}
      scroll={{ x: 640 }}
      pagination={entries.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
    />
  );
}
