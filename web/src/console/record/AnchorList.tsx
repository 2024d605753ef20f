import { Flex, Select, Space, Typography, type TableColumnsType } from 'antd';
import { useSearchParams } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { Empty } from '../../shared/states/Empty';
import { KINDS, saidOf, type Said } from './anchors';
import { useDeedName, useResult } from './anchorwords';
import css from './Record.module.css';

/** The columns of statements, wherever they are listed. */
export function useAnchorColumns(): TableColumnsType<Said> {
  const { t } = useTexts('anchors');
  const [deed, result] = [useDeedName(), useResult()];
  return [
    { title: t('anchors:member'), key: 'member', width: 120, dataIndex: 'organisation' },
    { title: t('anchors:deed'), key: 'deed', width: 170, render: (_, one) => deed(one.kind) },
    { title: t('anchors:result'), key: 'result', width: 130, render: (_, one) => result(one.result) },
    { title: t('anchors:at'), key: 'at', width: 130, render: (_, one) => <Moment at={one.at} /> },
    {
      title: t('anchors:place'),
      key: 'place',
      width: 330,
      render: (_, one) => <Id value={one.place} />,
    },
    {
      title: t('anchors:block'),
      key: 'block',
      width: 80,
      align: 'right',
      className: 'number',
      dataIndex: 'block',
    },
    {
      title: t('anchors:transaction'),
      key: 'transaction',
      width: 330,
      render: (_, one) => <Id value={one.transaction} />,
    },
  ];
}

/** Every statement, newest first, of one kind of deed where one is chosen. */
export function AnchorList() {
  const { t } = useTexts('anchors');
  const deed = useDeedName();
  const columns = useAnchorColumns();
  const [search, go] = useSearchParams();
  const asked = search.get('deed') ?? '';
  const kind = KINDS.some((one) => one === asked) ? asked : '';
  const load = async (cursor: string) => {
    const query = { cursor, limit: 100, ...(kind ? { kind } : {}) };
    const { data } = await http.GET('/api/v1/anchors', { params: { query } });
    return { items: data!.items.map(saidOf), next: data!.next ?? '' };
  };
  return (
    <div>
      <Flex vertical gap="small">
        <Typography.Title level={2} className={css['title'] ?? ''}>
          {t('anchors:all')}
        </Typography.Title>
        <Space>
          <Select
            allowClear
            aria-label={t('anchors:deed.any')}
            placeholder={t('anchors:deed.any')}
            style={{ width: 260 }}
            value={kind || undefined}
            onChange={(one?: string) => go(one ? { deed: one } : {}, { replace: true })}
            options={KINDS.map((one) => ({ value: one, label: deed(one) }))}
          />
        </Space>
        <PagedTable<Said>
          label={t('anchors:all')}
          queryKey={['get', '/api/v1/anchors', 'list', kind]}
          load={load}
          columns={columns}
          rowKey={(one) => `${one.organisation} ${one.place} ${one.transaction} ${one.digest}`}
          empty={<Empty title={t('anchors:none.such')} />}
        />
      </Flex>
    </div>
  );
}
