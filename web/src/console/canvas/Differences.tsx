import { Table } from 'antd';
import { useTexts } from '../../shared/i18n';
import { differences, type Difference } from './difference';
import type { Json, Members } from './json';

function said(value: Json | undefined): string {
  if (value === undefined) return '—';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Where two requests differ, place by place. */
export function Differences({ before, after }: { before: Members; after: Members }) {
  const { t } = useTexts('canvas');
  return (
    <Table<Difference>
      size="small"
      rowKey="field"
      pagination={false}
      scroll={{ y: 320, x: true }}
      dataSource={differences(before, after)}
      locale={{ emptyText: t('canvas:alike') }}
      columns={[
        { title: t('canvas:field'), key: 'field', render: (_, one) => <code>{one.field}</code> },
        { title: t('canvas:before'), key: 'before', render: (_, one) => said(one.before) },
        { title: t('canvas:now'), key: 'after', render: (_, one) => said(one.after) },
      ]}
    />
  );
}
