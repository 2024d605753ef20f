import { Table, Tag, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api, type Schemas } from '../api';
import parts from '../parts/parts.module.css';
import { Differences } from '../running/Differences';
import { useHoldingWords } from './words';

type Dataset = Schemas['DatasetView'];

/** The declared datasets: what others see of each, and what is granted. */
export default function DataPage() {
  const { t } = useTexts('holdings');
  const query = api.useQuery('get', '/api/datasets');
  return (
    <PageFrame title={t('holdings:data')} lead={t('holdings:data.lead')}>
      <Answer
        query={query}
        empty={{
          when: ({ datasets }) => !datasets.length,
          show: <Empty title={t('holdings:data.none')} next={t('holdings:data.none.next')} />,
        }}
      >
        {({ datasets, usage, granted }) => (
          <>
            <Differences differences={usage.differences} />
            <Datasets datasets={datasets} granted={granted} />
          </>
        )}
      </Answer>
    </PageFrame>
  );
}

type Props = { datasets: readonly Dataset[]; granted: Record<string, number> };

function Datasets({ datasets, granted }: Props) {
  const { t } = useTexts('holdings');
  const words = useHoldingWords();
  const columns: TableColumnsType<Dataset> = [
    {
      title: t('holdings:dataset'),
      key: 'name',
      render: (_, one) => (
        <>
          <Link to={`/data/${encodeURIComponent(one.name)}`}>{one.name}</Link>
          {one.title ? <p className={parts['quiet']}>{one.title}</p> : null}
        </>
      ),
    },
    {
      title: t('holdings:state'),
      key: 'state',
      render: (_, one) => (
        <Tag color={one.state === 'edited since' ? 'warning' : 'default'}>
          {words.dataset(one.state)}
        </Tag>
      ),
    },
    {
      title: t('holdings:rows'),
      key: 'rows',
      align: 'right',
      className: 'number',
      render: (_, one) => one.rows || '–',
    },
    {
      title: t('holdings:columns'),
      key: 'count',
      align: 'right',
      className: 'number',
      render: (_, one) => one.count,
    },
    {
      title: t('holdings:sensitive'),
      key: 'sensitive',
      align: 'right',
      className: 'number',
      render: (_, one) => one.sensitive,
    },
    {
      title: t('holdings:granted'),
      key: 'granted',
      align: 'right',
      className: 'number',
      render: (_, one) => granted[one.name] ?? 0,
    },
  ];
  return (
    <Table<Dataset>
      size="small"
      columns={columns}
      dataSource={datasets}
      rowKey={(one) => one.name}
      scroll={{ x: 640 }}
      pagination={datasets.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
    />
  );
}
