import { Alert, Segmented, Table, Tag, type TableColumnsType } from 'antd';
import { Link, useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api, type Schemas } from '../api';
import { epsilon } from '../parts/figures';
import parts from '../parts/parts.module.css';
import { RequestState } from './RequestState';
import { alike, titleOf } from './titles';
import { useRequestWords } from './words';

type Row = Schemas['InboxRow'];
const PAGE = 50;

/** Requests by their urgency: who wants which data, for what. */
export default function InboxPage() {
  const { t } = useTexts('inbox');
  const [search, setSearch] = useSearchParams();
  const every = search.get('all') === '1';
  const page = Math.max(1, Number(search.get('page')) || 1);
  const query = api.useQuery('get', '/api/inbox', {
    params: { query: { every, offset: (page - 1) * PAGE, limit: PAGE } },
  });
  const show = (all: boolean, to = 1) => {
    setSearch({ ...(all ? { all: '1' } : {}), ...(to > 1 ? { page: String(to) } : {}) });
  };
  return (
    <PageFrame
      title={t('inbox:title')}
      lead={t('inbox:lead')}
      extra={
        <Segmented<string>
          aria-label={t('inbox:which')}
          value={every ? 'all' : 'waiting'}
          onChange={(value) => show(value === 'all')}
          options={[
            { value: 'waiting', label: t('inbox:which.waiting') },
            { value: 'all', label: t('inbox:which.all') },
          ]}
        />
      }
    >
      <Answer query={query}>
        {({ rows, total, overdue }) => (
          <>
            {overdue ? (
              <Alert type="warning" showIcon title={t('inbox:overdue.many', { count: overdue })} />
            ) : null}
            {rows.length ? (
              <Requests rows={rows} total={total} page={page} turn={(to) => show(every, to)} />
            ) : (
              <Empty title={t('inbox:none')} next={t('inbox:none.next')} />
            )}
          </>
        )}
      </Answer>
    </PageFrame>
  );
}

type Props = { rows: Row[]; total: number; page: number; turn: (page: number) => void };

function Requests({ rows, total, page, turn }: Props) {
  const { t } = useTexts('inbox');
  const words = useRequestWords();
  const { language } = usePreferences();
  const twins = alike(rows);
  const columns: TableColumnsType<Row> = [
    {
      title: t('inbox:request'),
      key: 'request',
      render: (_, one) => (
        <>
          <Link to={`/inbox/${one.id}`}>{titleOf(one)}</Link>
          <p className={parts['quiet']}>
            {words.kind(one.kind)} · {t('inbox:by', { submitter: one.submitter })}
            {twins.has(one.id) && one.job ? <Id value={one.job} /> : null}
          </p>
        </>
      ),
    },
    {
      title: t('inbox:data'),
      key: 'data',
      render: (_, one) => (
        <>
          {one.dataset || t('inbox:data.none')}
          {one.sensitive.length ? (
            <p className={parts['bad']}>
              {t('inbox:sensitive')} {one.sensitive.join(', ')}
            </p>
          ) : null}
        </>
      ),
    },
    {
      title: t('inbox:columns'),
      key: 'columns',
      align: 'right',
      className: 'number',
      render: (_, one) => one.columns,
    },
    {
      title: 'ε',
      key: 'epsilon',
      align: 'right',
      className: 'number',
      render: (_, one) => epsilon(one.epsilon, language),
    },
    {
      title: t('inbox:state'),
      key: 'state',
      render: (_, one) => <Standing row={one} />,
    },
    {
      title: t('inbox:since'),
      key: 'since',
      render: (_, one) => (one.at ? <Moment at={one.at} /> : null),
    },
  ];
  return (
    <Table<Row>
      size="small"
      columns={columns}
      dataSource={rows}
      rowKey={(one) => one.id}
      scroll={{ x: 720 }}
      pagination={
        total > PAGE
          ? { current: page, total, pageSize: PAGE, onChange: turn, showSizeChanger: false }
          : false
      }
    />
  );
}

function Standing({ row }: { row: Row }) {
  const { t } = useTexts('inbox');
  return (
    <>
      <RequestState state={row.state} />
      {row.overdue ? <Tag color="error">{t('inbox:overdue')}</Tag> : null}
      {row.two_people && row.state === 'waiting' ? (
        <p className={parts['quiet']}>{t('inbox:approvals', { count: row.approved_by })}</p>
      ) : null}
      {row.state === 'waiting' && row.expires ? (
        <p className={parts['quiet']}>
          {t('inbox:until')} <Moment at={row.expires} />
        </p>
      ) : null}
    </>
  );
}
