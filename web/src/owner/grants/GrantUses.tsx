import { Table, Tag, type TableColumnsType } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { StateTag } from '../../shared/parts/StateTag';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { epsilon } from '../parts/figures';

type Use = Schemas['GrantUseRow'];

/** The jobs that were approved under a grant. */
export function GrantUses({ uses }: { uses: readonly Use[] }) {
  const { t } = useTexts('holdings');
  const { language } = usePreferences();
  if (!uses.length) return <p>{t('holdings:usage.none')}</p>;
  const columns: TableColumnsType<Use> = [
    { title: t('holdings:job'), key: 'job', render: (_, one) => <Id value={one.job} /> },
    { title: t('holdings:term.purposes'), dataIndex: 'purpose' },
    { title: t('holdings:requester'), dataIndex: 'requester' },
    {
      title: 'ε',
      key: 'epsilon',
      align: 'right',
      className: 'number',
      render: (_, one) => epsilon(one.epsilon, language),
    },
    {
      title: t('holdings:state'),
      key: 'outcome',
      render: (_, one) =>
        one.running ? <StateTag state="running" /> : <Tag>{one.outcome || '–'}</Tag>,
    },
    { title: t('holdings:when'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
  ];
  return (
    <Table<Use>
      size="small"
      columns={columns}
      dataSource={uses}
      rowKey={(one) => one.job}
      scroll={{ x: 760 }}
      pagination={uses.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
    />
  );
}
