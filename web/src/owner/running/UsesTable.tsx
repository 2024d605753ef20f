import { Table, Tag, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { StateTag } from '../../shared/parts/StateTag';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { epsilon } from '../parts/figures';
import parts from '../parts/parts.module.css';
import { useMay } from '../session';
import { StopJob } from './StopJob';

type Use = Schemas['UseRow'];

/** Who used which data, when, for what, and under which approval. */
export function UsesTable({ uses, running = false }: { uses: readonly Use[]; running?: boolean }) {
  const { t } = useTexts('owner');
  const { language } = usePreferences();
  const decides = useMay('decider');
  const columns: TableColumnsType<Use> = [
    {
      title: t('owner:use.job'),
      key: 'job',
      render: (_, one) => (
        <>
          {one.purpose}
          <p className={parts['quiet']}>
            {one.requester} <Id value={one.job} />
          </p>
        </>
      ),
    },
    {
      title: t('owner:use.data'),
      key: 'data',
      render: (_, one) => (
        <>
          <Link to={`/data/${encodeURIComponent(one.dataset)}`}>{one.dataset}</Link>
          <p className={parts['quiet']}>{one.columns.join(', ')}</p>
        </>
      ),
    },
    {
      title: t('owner:use.approval'),
      key: 'approval',
      render: (_, one) => (
        <>
          {one.approval}
          {one.grant ? (
            <p>
              <Link to={`/grants/${one.grant}`}>
                {t(running ? 'owner:use.stop' : 'owner:to.grant')}
              </Link>
            </p>
          ) : null}
        </>
      ),
    },
    {
      title: 'ε',
      key: 'epsilon',
      align: 'right',
      className: 'number',
      render: (_, one) => epsilon(one.epsilon, language),
    },
    {
      title: t('owner:use.outcome'),
      key: 'outcome',
      render: (_, one) =>
        one.running ? (
          <>
            <StateTag state="running" /> {running && decides ? <StopJob job={one.job} /> : null}
          </>
        ) : (
          <Tag>{one.outcome || '–'}</Tag>
        ),
    },
    { title: t('owner:use.at'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
  ];
  return (
    <Table<Use>
      size="small"
      columns={columns}
      dataSource={uses}
      rowKey={(one) => `${one.job} ${one.dataset}`}
      scroll={{ x: 900 }}
      pagination={uses.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
    />
  );
}
