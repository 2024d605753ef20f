import { Alert, Card, Descriptions, Flex, Tag } from 'antd';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { members, text, texts } from '../models/card';
import type { Job } from './useJob';

type Row = Record<string, unknown>;

/** The objects in a list. */
export function rowsOf(value: unknown): Row[] {
  if (!Array.isArray(value)) return [];
  return value.filter((one): one is Row => typeof one === 'object' && one !== null);
}

/** Who could see what of a job, what is stopped, and what it cost. */
export function ExplanationTab({ job }: { job: Job }) {
  const query = api.useQuery('get', '/api/v1/jobs/{key}/explain', {
    params: { path: { key: job.id } },
  });
  return <Answer query={query}>{(told) => <Explanation told={members(told)} />}</Answer>;
}

/** An explanation as the centre gives it. */
export function Explanation({ told }: { told: Row }) {
  const { t } = useTexts('jobs');
  const tee = text(told['tee']);
  return (
    <Flex vertical gap="middle">
      {tee.includes('SIMULATED') ? (
        <Alert type="warning" showIcon className="simulated" title={t('jobs:simulated')} />
      ) : null}
      <Sees rows={rowsOf(told['disclosure'])} />
      <Rows
        title={t('jobs:stopped')}
        rows={rowsOf(told['attacks'])}
        names={['attack', 'stopped', 'why']}
      />
      <Rows title={t('jobs:gives')} rows={rowsOf(told['label'])} names={['what', 'why']} />
      <Cost told={members(told['privacy'])} />
    </Flex>
  );
}

/** Who sees what, of a job of several steps at which. */
export function Sees({ rows }: { rows: Row[] }) {
  const { t } = useTexts('jobs');
  const told = rows.map((one) => ({ ...one, steps: texts(one['steps']).join(', ') }));
  const names = told.some((one) => one.steps) ? ['steps', 'who', 'sees', 'why'] : ['who', 'sees', 'why'];
  return <Rows title={t('jobs:sees')} rows={told} names={names} />;
}

type RowsProps = { title: string; rows: Row[]; names: readonly string[] };

/** A table of what is said, each column under its name; nothing where nothing is said. */
export function Rows({ title, rows, names }: RowsProps) {
  const { t } = useTexts('jobs');
  if (!rows.length) return null;
  return (
    <Card size="small" title={title}>
      <WideTable<Row>
        size="small"
        pagination={false}
        scroll={{ x: 560 }}
        rowKey={(one) => JSON.stringify(one)}
        dataSource={rows}
        columns={names.map((name) => ({
          title: t(`jobs:told.${name}`),
          key: name,
          render: (_: unknown, one: Row) =>
            name === 'stopped' ? <Tag>{String(one[name])}</Tag> : text(one[name]),
        }))}
      />
    </Card>
  );
}

const COST = ['epsilon', 'delta', 'unit', 'mechanism', 'noise', 'noise_multiplier', 'sampling'];

function Cost({ told }: { told: Row }) {
  const { t, has } = useTexts('jobs');
  const worded = (name: string, value: string | number) => {
    if (name === 'unit' && has(`words:unit.${value}`)) return t(`words:unit.${value}`);
    if (name === 'noise' && has(`words:noise.${value}`)) return t(`words:noise.${value}`);
    return String(value);
  };
  const items = COST.flatMap((name) => {
    const value = told[name];
    if (typeof value !== 'string' && typeof value !== 'number') return [];
    return [{ key: name, label: t(`jobs:cost.${name}`), children: worded(name, value) }];
  });
  if (!items.length) return null;
  return (
    <Card size="small" title={t('jobs:cost')}>
      <Descriptions size="small" column={{ xs: 1, md: 2 }} items={items} />
    </Card>
  );
}
