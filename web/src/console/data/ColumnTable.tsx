import { Input, Tag } from 'antd';
import { useMemo, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { inOrder, valuesOf, type Column } from './columns';

const MANY = 12;

/** The columns as they are declared, sensitive ones first; searchable where there are many. */
export function ColumnTable({ columns }: { columns: readonly Column[] }) {
  const { t } = useTexts('data');
  const { language } = usePreferences();
  const [sought, seek] = useState('');
  const rows = useMemo(() => {
    const text = sought.trim().toLowerCase();
    return inOrder(columns).filter((one) => one.name.toLowerCase().includes(text));
  }, [columns, sought]);
  return (
    <>
      {columns.length > MANY ? (
        <Input.Search
          allowClear
          aria-label={t('data:column.search')}
          placeholder={t('data:column.search')}
          style={{ maxWidth: 320, marginBlockEnd: 8 }}
          onChange={(event) => seek(event.target.value)}
        />
      ) : null}
      <WideTable<Column>
        virtual={rows.length > MANY}
        size="small"
        pagination={false}
        rowKey={(one) => one.name}
        dataSource={rows}
        scroll={rows.length > MANY ? { y: 420, x: 640 } : { x: 'max-content' }}
        columns={[
          {
            title: t('data:column'),
            key: 'name',
            render: (_, one) => (
              <>
                {one.name} {one.sensitive ? <Tag color="warning">{t('data:sensitive')}</Tag> : null}
              </>
            ),
          },
          {
            title: t('data:type'),
            key: 'type',
            render: (_, one) => t(`data:type.${one.type}`),
          },
          { title: t('data:values'), key: 'values', render: (_, one) => valuesOf(one, language) },
        ]}
      />
    </>
  );
}
