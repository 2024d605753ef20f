import { useQueryClient } from '@tanstack/react-query';
import { Button, Dropdown, Flex, Space, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link, useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Digest } from '../../shared/parts/Digest';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { PageFrame } from '../../shared/parts/PageFrame';
import { prefix } from '../../shared/place';
import { Empty } from '../../shared/states/Empty';
import { EntryDrawer } from './EntryDrawer';
import { Filters } from './Filters';
import { HeadPanel } from './HeadPanel';
import { HEAD } from './useHead';
import { loadEntries, queryOf, wantedOf, type Entry, type Wanted } from './wanted';

const FORMS = ['jsonl', 'csv'] as const;
let visits = 0;

/** The ledger, newest first: every deed that mattered, signed by its author. */
export default function RecordPage() {
  const { t, has } = useTexts('record', 'projects');
  const queries = useQueryClient();
  const [search, go] = useSearchParams();
  const [visit, look] = useState(() => ++visits);
  const wanted = wantedOf(search);
  const opened = /^[0-9]{1,15}$/.test(search.get('entry') ?? '') ? Number(search.get('entry')) : null;
  const set = (name: string, value: string) =>
    go(
      (before) => {
        const next = new URLSearchParams(before);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      },
      { replace: name !== 'entry' },
    );
  const refresh = () => {
    look(++visits);
    void queries.invalidateQueries({ queryKey: HEAD });
  };
  const columns: TableColumnsType<Entry> = [
    {
      title: t('record:index'),
      key: 'index',
      width: 90,
      align: 'right',
      className: 'number',
      render: (_, one) => (
        <Button type="link" size="small" onClick={() => set('entry', String(one.index))}>
          {one.index}
        </Button>
      ),
    },
    {
      title: t('record:at'),
      key: 'at',
      width: 130,
      render: (_, one) => (one.at ? <Moment at={one.at} /> : null),
    },
    {
      title: t('record:kind'),
      key: 'kind',
      render: (_, one) => {
        if (has(`record:kind.${one.kind}`)) return t(`record:kind.${one.kind}`);
        return has(`projects:entry.${one.kind}`) ? t(`projects:entry.${one.kind}`) : one.kind;
      },
    },
    { title: t('record:author'), key: 'author', dataIndex: 'author', width: 150 },
    {
      title: t('record:job'),
      key: 'job',
      ellipsis: true,
      render: (_, one) =>
        one.job ? <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link> : null,
    },
    {
      title: t('record:hash'),
      key: 'hash',
      width: 130,
      render: (_, one) => <Digest value={one.hash} />,
    },
  ];
  const narrowed = Object.values(wanted).some(Boolean);
  return (
    <PageFrame
      title={t('record:title')}
      lead={t('record:lead')}
      extra={
        <Space>
          <Button onClick={refresh}>{t('record:refresh')}</Button>
          <Export wanted={wanted} />
          <Link to="/record/anchors">{t('record:anchors')}</Link>
          <Link to="/record/verify">{t('record:verify')}</Link>
        </Space>
      }
    >
      <Flex vertical gap="middle">
        <HeadPanel />
        <Filters wanted={wanted} set={set} />
        <PagedTable<Entry>
          label={t('record:title')}
          queryKey={['get', '/api/v1/audit/search', wanted, visit]}
          load={(cursor) => loadEntries(wanted, cursor)}
          columns={columns}
          rowKey={(one) => String(one.index)}
          empty={
            <Empty
              title={t(narrowed ? 'record:none.such' : 'record:none')}
              next={t('record:none.next')}
              action={
                narrowed ? <Button onClick={() => go({})}>{t('record:filter.clear')}</Button> : null
              }
            />
          }
        />
        <EntryDrawer index={opened} close={() => set('entry', '')} />
      </Flex>
    </PageFrame>
  );
}

/** What is searched for, as a file: the text that is sought in the browser narrows no export. */
function Export({ wanted }: { wanted: Wanted }) {
  const { t } = useTexts('record');
  const query = Object.entries(queryOf(wanted)).map(([name, value]) => [name, String(value)]);
  const href = (form: string) =>
    `${prefix()}/api/v1/audit/export?${new URLSearchParams([...query, ['format', form]]).toString()}`;
  return (
    <Dropdown
      trigger={['click']}
      menu={{
        items: FORMS.map((form) => ({
          key: form,
          label: (
            <a href={href(form)} download>
              {t(`record:export.${form}`)}
            </a>
          ),
        })),
      }}
    >
      <Button>{t('record:export')}</Button>
    </Dropdown>
  );
}
