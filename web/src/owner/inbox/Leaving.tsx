import { Table, type TableColumnsType } from 'antd';
import { useTexts } from '../../shared/i18n';
import type { Schemas } from '../api';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import { bySteps, type Grouped } from './bysteps';

type Sees = Grouped<Schemas['SeesWhat']>;
type Line = Schemas['LabelLine'];

/** What leaves this organisation, under which protection, and who sees what of it. */
export function Leaving({ request }: { request: Schemas['RequestView'] }) {
  const { t, has } = useTexts('inbox');
  const { sentences, protection } = request;
  const key = `words:protection.${protection}`;
  const named = protection && has(key) ? t(`words:protection.${protection}`) : protection;
  const rows = bySteps(request.outputs);
  const steps: TableColumnsType<Sees> = rows.some((one) => one.group)
    ? [{ title: t('inbox:sees.step'), dataIndex: 'group', onCell: (one) => ({ rowSpan: one.span }) }]
    : [];
  const columns: TableColumnsType<Sees> = [
    ...steps,
    { title: t('inbox:sees.who'), dataIndex: 'who' },
    { title: t('inbox:sees.what'), dataIndex: 'sees' },
    { title: t('inbox:sees.why'), dataIndex: 'why' },
  ];
  return (
    <Section title={t('inbox:leaves')}>
      <Facts
        facts={[
          { label: t('inbox:leaves.what'), value: request.leaves },
          { label: t('inbox:protection'), value: sentences.protection || named },
          { label: t('inbox:holds'), value: sentences.holds },
          { label: t('inbox:takes'), value: sentences.takes },
        ]}
      />
      {rows.length ? (
        <Table<Sees>
          size="small"
          columns={columns}
          dataSource={rows}
          rowClassName={(one) => (one.simulated ? 'simulated' : '')}
          pagination={false}
          scroll={{ x: 560 }}
          title={() => t('inbox:sees')}
        />
      ) : null}
      {request.label.length ? <Label lines={request.label} /> : null}
    </Section>
  );
}

function Label({ lines }: { lines: readonly Line[] }) {
  const { t } = useTexts('inbox');
  const columns: TableColumnsType<Line> = [
    { title: t('inbox:label.what'), dataIndex: 'what' },
    { title: t('inbox:label.why'), dataIndex: 'why' },
  ];
  return (
    <Table<Line>
      size="small"
      columns={columns}
      dataSource={lines.map((one, place) => ({ ...one, key: place }))}
      pagination={false}
      scroll={{ x: 560 }}
      title={() => t('inbox:label')}
    />
  );
}
