import { Table, Tag, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { number } from '../../shared/format';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { useHoldingWords } from '../data/words';
import { epsilon } from '../parts/figures';

type Grant = Schemas['GrantRow'];
const COLOURS: Record<string, string> = {
  proposed: 'warning',
  'in force': 'success',
  locked: 'warning',
  forged: 'error',
};

/** The state of a grant, in words; the colour only supports them. */
export function GrantState({ state }: { state: string }) {
  const words = useHoldingWords();
  return <Tag color={COLOURS[state] ?? 'default'}>{words.grant(state)}</Tag>;
}

/** Where a grant is shown: a proposal, where it is confirmed. */
export function pathOf(grant: Grant): string {
  return grant.state === 'proposed' ? `/grants/${grant.id}/confirm` : `/grants/${grant.id}`;
}

/** Grants, with what is used of each. */
export function GrantList({ rows }: { rows: readonly Grant[] }) {
  const { t } = useTexts('holdings');
  const { language } = usePreferences();
  const columns: TableColumnsType<Grant> = [
    {
      title: t('holdings:dataset'),
      key: 'dataset',
      render: (_, one) => <Link to={pathOf(one)}>{one.dataset}</Link>,
    },
    { title: t('holdings:project'), key: 'project', render: (_, one) => <Id value={one.project} /> },
    { title: t('holdings:state'), key: 'state', render: (_, one) => <GrantState state={one.state} /> },
    {
      title: t('holdings:uses'),
      key: 'uses',
      align: 'right',
      className: 'number',
      render: (_, one) => shareOf(one.uses, (value) => number(value, language)),
    },
    {
      title: 'ε',
      key: 'epsilon',
      align: 'right',
      className: 'number',
      render: (_, one) => shareOf(one.epsilon, (value) => epsilon(value, language)),
    },
    {
      title: t('holdings:expires'),
      key: 'expires',
      render: (_, one) => (one.expires ? <Moment at={one.expires} /> : null),
    },
  ];
  if (!rows.length) return <p>{t('holdings:grants.none')}</p>;
  return (
    <Table<Grant>
      size="small"
      columns={columns}
      dataSource={rows}
      rowKey={(one) => one.id}
      scroll={{ x: 760 }}
      pagination={rows.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
    />
  );
}

/** What is used of a limit, if there is one. */
export function shareOf(share: Schemas['Share'], say: (value: number) => string): string {
  return share.limit === null ? say(share.used) : `${say(share.used)} / ${say(share.limit)}`;
}
