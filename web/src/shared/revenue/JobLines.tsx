import type { TableColumnsType } from 'antd';
import { number, percent } from '../format';
import { useTexts } from '../i18n';
import { Id } from '../parts/Id';
import { WideTable } from '../parts/WideTable';
import { usePreferences } from '../preferences';
import { inSteps, WHOLE } from './agreement';

/** What a member gets of a job, in both pages' answers. */
export interface JobLine {
  organisation: string;
  score?: number | null;
  low?: number | null;
  high?: number | null;
  rows: number;
  steps: number;
  share: number;
  amount: number;
}

interface Booked<Line> {
  spec: string;
  scores: string;
  lines: Line[];
}

/** Who gets what of one job, by which figures; `more` are further columns of a page. */
export function JobLines<Line extends JobLine>({ booked, amount, more = [] }: {
  booked: Booked<Line>;
  amount: (value: number) => string;
  more?: TableColumnsType<Line>;
}) {
  const { t } = useTexts('revenue');
  const { language } = usePreferences();
  const figure = (name: string, said: (one: Line) => string) => ({
    title: t(`revenue:line.${name}`),
    key: name,
    align: 'right' as const,
    className: 'number',
    render: (_: unknown, one: Line) => said(one),
  });
  const range = (one: Line) => (typeof one.low === 'number' ? `[${inSteps(one.low)}, ${inSteps(one.high)}]` : '');
  const columns: TableColumnsType<Line> = [
    { title: t('revenue:organisation'), key: 'organisation', render: (_, one) => one.organisation },
    figure('score', (one) => inSteps(one.score)),
    figure('interval', range),
    figure('rows', (one) => number(one.rows, language)),
    figure('steps', (one) => number(one.steps, language)),
    figure('share', (one) => percent(one.share / WHOLE, language, 2)),
    figure('amount', (one) => amount(one.amount)),
    ...more,
  ];
  return (
    <>
      <WideTable<Line>
        size="small"
        pagination={false}
        rowKey={(one) => one.organisation}
        dataSource={booked.lines}
        columns={columns}
      />
      <p>
        {t('revenue:spec')} <Id value={booked.spec} />
      </p>
      {booked.scores ? (
        <p>
          {t('revenue:scores')} <Id value={booked.scores} />
        </p>
      ) : null}
    </>
  );
}
