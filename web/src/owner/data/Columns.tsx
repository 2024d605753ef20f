import { Table, Tag, type TableColumnsType } from 'antd';
import { useTexts } from '../../shared/i18n';
import type { Schemas } from '../api';
import { useHoldingWords } from './words';

type Column = Schemas['ColumnView'];

/** The declared columns: the sensitive ones first. */
export function Columns({ columns: rows }: { columns: readonly Column[] }) {
  const { t } = useTexts('holdings');
  const words = useHoldingWords();
  const columns: TableColumnsType<Column> = [
    { title: t('holdings:column'), dataIndex: 'name' },
    { title: t('holdings:type'), key: 'type', render: (_, one) => words.type(one.type) },
    {
      title: t('holdings:sensitive'),
      key: 'sensitive',
      render: (_, one) =>
        one.sensitive ? <Tag color="error">{t('holdings:sensitive.yes')}</Tag> : null,
    },
    { title: t('holdings:detail'), dataIndex: 'detail' },
  ];
  return (
    <Table<Column>
      size="small"
      columns={columns}
      dataSource={rows}
      rowKey={(one) => one.name}
      scroll={{ x: 560 }}
      pagination={rows.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
    />
  );
}
