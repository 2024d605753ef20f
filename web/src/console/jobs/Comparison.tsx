import { StarFilled } from '@ant-design/icons';
import { Card, Flex, Typography } from 'antd';
import { useTexts } from '../../shared/i18n';
import { WideTable } from '../../shared/parts/WideTable';
import { comparisonOf, type ComparedCell, type ComparedLine } from './comparison';

type Props = { report: Record<string, unknown> };

/** Models side by side: a line for each figure, a column for each model, the best of each marked. */
export function Comparison({ report }: Props) {
  const { t, has } = useTexts('jobs');
  const told = comparisonOf(report);
  if (!told) return null;
  const named = (name: string) => (has(`words:metric.${name}`) ? t(`words:metric.${name}`) : name);
  return (
    <Card size="small" title={told.title}>
      <Flex vertical gap="small">
        <WideTable<ComparedLine>
          size="small"
          pagination={false}
          rowKey={(one) => one.metric}
          dataSource={told.lines}
          scroll={{ x: 'max-content' }}
          columns={[
            {
              title: t('jobs:compared.figure'),
              key: 'metric',
              render: (_, line) => (
                <>
                  {named(line.metric)}
                  {line.better ? (
                    <Typography.Text type="secondary">
                      {' '}
                      {t(`jobs:compared.${line.better}`)}
                    </Typography.Text>
                  ) : null}
                </>
              ),
            },
            ...told.models.map((model, at) => ({
              title: (
                <>
                  {model.name}
                  <br />
                  <Typography.Text type="secondary">
                    {t('jobs:compared.rows', { parties: model.rowsOf.join(', ') })}
                  </Typography.Text>
                </>
              ),
              key: `${model.name}/${at}`,
              align: 'right' as const,
              className: 'number',
              render: (_: unknown, line: ComparedLine) => <Cell cell={line.cells[at]} />,
            })),
          ]}
        />
        {told.notes.map((note) => (
          <Typography.Text key={note} type="secondary">
            {note}
          </Typography.Text>
        ))}
      </Flex>
    </Card>
  );
}

function Cell({ cell }: { cell: ComparedCell | undefined }) {
  const { t } = useTexts('jobs');
  if (!cell) return null;
  const beside = [cell.interval, cell.noise].filter(Boolean).join(' ');
  return (
    <>
      {cell.best ? (
        <strong>
          <StarFilled aria-label={t('jobs:compared.best')} /> {cell.value}
        </strong>
      ) : (
        cell.value
      )}
      {beside ? (
        <>
          <br />
          <Typography.Text type="secondary">{beside}</Typography.Text>
        </>
      ) : null}
    </>
  );
}
