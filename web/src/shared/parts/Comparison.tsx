import { type TableColumnsType } from 'antd';
import type { ReactNode } from 'react';
import { useSearchParams } from 'react-router';
import { Empty } from '../states/Empty';
import { Failed } from '../states/Failed';
import { Loading } from '../states/Loading';
import { PageFrame } from './PageFrame';
import { WideTable } from './WideTable';

/** Things that stand beside each other at most. */
const MOST = 6;

/** What a line says of each thing; `strong` where that is what the reader looks for. */
export type Line = { key: string; label: string; values: string[]; strong: boolean };

/** What an address compares: `ids`, each once. */
export function useCompared(): string[] {
  const [search] = useSearchParams();
  return [...new Set((search.get('ids') ?? '').split(',').filter(Boolean))].slice(0, MOST);
}

type Props = {
  title: string;
  lead: string;
  /** Said of fewer than two, with a way to where more are chosen. */
  few: { title: string; action: ReactNode };
  ids: readonly string[];
  answers: readonly { isError: boolean; error: unknown }[];
  /** One for each thing that is known by now. */
  things: readonly { key: string; title: ReactNode }[];
  lines: readonly Line[];
};

/** Things beside each other, a line for each of their properties. */
export function Comparison({ title, lead, few, ids, answers, things, lines }: Props) {
  const failed = answers.find((one) => one.isError);
  const columns: TableColumnsType<Line> = [
    { title: '', key: 'label', fixed: 'left', render: (_, one) => one.label },
    ...things.map((thing, at) => ({
      ...thing,
      align: 'right' as const,
      className: 'number',
      render: (_: unknown, one: Line) =>
        one.strong ? <strong>{one.values[at]}</strong> : one.values[at],
    })),
  ];
  return (
    <PageFrame title={title} lead={lead}>
      {failed ? (
        <Failed error={failed.error} />
      ) : ids.length < 2 ? (
        <Empty {...few} />
      ) : things.length < ids.length ? (
        <Loading />
      ) : (
        <WideTable<Line>
          size="small"
          pagination={false}
          rowKey={(one) => one.key}
          dataSource={[...lines]}
          columns={columns}
        />
      )}
    </PageFrame>
  );
}
