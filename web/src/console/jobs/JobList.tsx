import { useQueryClient } from '@tanstack/react-query';
import { Button, DatePicker, Input, Select, Space, type TableColumnsType } from 'antd';
import type { Dayjs } from 'dayjs';
import { useState } from 'react';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { useLive } from '../../shared/live';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { PageFrame } from '../../shared/parts/PageFrame';
import { StateTag } from '../../shared/parts/StateTag';
import { Empty } from '../../shared/states/Empty';
import { useProject, useProjects } from '../project';
import { replaced, type Pages, type Row } from './rows';
import { KINDS, STATES, textOfError } from './words';

const LIST = ['get', '/api/v1/jobs', 'paged'];
const MOST = 6;

type Wanted = { text?: string; state?: Row['state'][]; kind?: string; since?: number };

/** Jobs, newest first: filters are in the address, so that a list can be sent to a colleague. */
export default function JobList() {
  const { t } = useTexts('jobs');
  const [project] = useProject();
  const projects = useProjects().data?.items ?? [];
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [search, go] = useSearchParams();
  const [chosen, choose] = useState<string[]>([]);
  const states = search.getAll('state').filter((one) => STATES.includes(one as Row['state']));
  const wanted: Wanted = {
    text: search.get('text') ?? '',
    state: states as Row['state'][],
    kind: search.get('kind') ?? '',
    since: Number(search.get('since')) || 0,
  };
  const key = [...LIST, project, wanted];
  useLive(['job', 'timetable'], ({ data }) => {
    const next = replaced(queries.getQueryData<Pages>(key), data['job'] as Row);
    if (next) queries.setQueryData(key, next);
    else void queries.invalidateQueries({ queryKey: LIST });
  });
  const set = (name: string, values: string[]) =>
    go(
      (before) => {
        const next = new URLSearchParams(before);
        next.delete(name);
        for (const one of values) if (one) next.append(name, one);
        return next;
      },
      { replace: true },
    );
  const columns: TableColumnsType<Row> = [
    {
      title: t('jobs:name'),
      key: 'name',
      render: (_, one) => <Link to={`/jobs/${encodeURIComponent(one.id)}`}>{one.name}</Link>,
    },
    {
      title: t('jobs:kind'),
      key: 'kind',
      width: 150,
      render: (_, one) => t(`words:kind.${one.kind}`),
    },
    {
      title: t('jobs:state'),
      key: 'state',
      width: 120,
      render: (_, one) => <StateTag state={one.state} />,
    },
    { title: t('jobs:why'), key: 'why', ellipsis: true, render: (_, one) => textOfError(one.error) },
    {
      title: t('jobs:project'),
      key: 'project',
      render: (_, one) => projects.find((each) => each.id === one.project)?.name ?? one.project,
    },
    { title: t('jobs:organisation'), key: 'organisation', dataIndex: 'organisation' },
    { title: t('jobs:created'), key: 'at', width: 130, render: (_, one) => <Moment at={one.created} /> },
    {
      title: t('jobs:compare'),
      key: 'compare',
      width: 110,
      render: (_, one) => {
        const marked = chosen.includes(one.id);
        return (
          <Button
            size="small"
            type={marked ? 'primary' : 'default'}
            aria-pressed={marked}
            disabled={one.state !== 'succeeded' || (!marked && chosen.length >= MOST)}
            onClick={() =>
              choose(marked ? chosen.filter((id) => id !== one.id) : [...chosen, one.id])
            }
          >
            {t(marked ? 'jobs:compare.chosen' : 'jobs:compare.choose')}
          </Button>
        );
      },
    },
  ];
  const narrowed = Boolean(wanted.text || wanted.state?.length || wanted.kind || wanted.since);
  return (
    <PageFrame
      title={t('jobs:title')}
      extra={
        <Space wrap>
          <Button onClick={() => void navigate('/ask/statistics')}>{t('jobs:ask.number')}</Button>
          <Button onClick={() => void navigate('/ask/overlap')}>{t('jobs:ask.overlap')}</Button>
          <Button
            disabled={chosen.length < 2}
            onClick={() => void navigate(`/jobs/compare?ids=${chosen.join(',')}`)}
          >
            {t('jobs:compare.do', { count: chosen.length })}
          </Button>
          <Button type="primary" onClick={() => void navigate('/jobs/new')}>
            {t('jobs:new')}
          </Button>
        </Space>
      }
    >
      <Filters wanted={wanted} set={set} />
      <PagedTable<Row>
        label={t('jobs:title')}
        queryKey={key}
        load={async (cursor) => {
          const query = { ...wanted, newest: true, cursor, project };
          return (await http.GET('/api/v1/jobs', { params: { query } })).data!;
        }}
        columns={columns}
        rowKey={(one) => one.id}
        empty={
          narrowed ? (
            <Empty
              title={t('jobs:none.such')}
              action={<Button onClick={() => go({})}>{t('jobs:filter.clear')}</Button>}
            />
          ) : (
            <Empty
              title={t('jobs:none')}
              next={t('jobs:none.next')}
              action={<Link to="/jobs/new">{t('jobs:new')}</Link>}
            />
          )
        }
      />
    </PageFrame>
  );
}

type FilterProps = { wanted: Wanted; set: (name: string, values: string[]) => void };

function Filters({ wanted, set }: FilterProps) {
  const { t } = useTexts('jobs');
  return (
    <Space wrap style={{ marginBlockEnd: 12 }} role="search">
      <Input.Search
        allowClear
        aria-label={t('jobs:filter.text')}
        placeholder={t('jobs:filter.text')}
        defaultValue={wanted.text}
        maxLength={100}
        onSearch={(text) => set('text', [text.trim()])}
      />
      <Select
        mode="multiple"
        allowClear
        maxTagCount="responsive"
        aria-label={t('jobs:filter.state')}
        placeholder={t('jobs:filter.state')}
        style={{ minWidth: 200 }}
        value={wanted.state}
        onChange={(states) => set('state', states)}
        options={STATES.map((value) => ({ value, label: t(`words:state.${value}`) }))}
      />
      <Select
        allowClear
        aria-label={t('jobs:filter.kind')}
        placeholder={t('jobs:filter.kind')}
        style={{ minWidth: 180 }}
        value={wanted.kind || undefined}
        onChange={(kind?: string) => set('kind', [kind ?? ''])}
        options={KINDS.map((value) => ({ value, label: t(`words:kind.${value}`) }))}
      />
      <DatePicker
        aria-label={t('jobs:filter.since')}
        placeholder={t('jobs:filter.since')}
        onChange={(day: Dayjs | null) => set('since', [day ? String(day.startOf('day').unix()) : ''])}
      />
    </Space>
  );
}
