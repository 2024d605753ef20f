import { Flex, type TableColumnsType } from 'antd';
import { money, number, percent } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { inSteps, WHOLE } from '../../shared/revenue/agreement';
import { decimalsOf } from '../../shared/revenue/currencies';
import type { Schemas } from '../api';
import { Section } from '../parts/Section';

type Shown = Schemas['OwnSettlement'];
type Booked = Shown['bookings'][number];
type Line = Booked['lines'][number];
type Total = Shown['totals'][number];

/** Who gets what, and how it follows from each job's record as it was verified here. */
export function Amounts({ shown }: { shown: Shown }) {
  const { t, has } = useTexts('revenue');
  const amount = useAmount(shown.currency);
  const rule = (one: string) => (has(`revenue:rule.${one}`) ? t(`revenue:rule.${one}`) : one);
  const owed = new Map(shown.owed.map((one) => [one.organisation, one.amount]));
  const columns: TableColumnsType<Total> = [
    { title: t('revenue:organisation'), key: 'organisation', dataIndex: 'organisation' },
    {
      title: t('revenue:member.amount'),
      key: 'amount',
      align: 'right',
      className: 'number',
      render: (_, one) => amount(one.amount),
    },
    {
      title: t('revenue:own.due', { who: shown.payer }),
      key: 'owed',
      align: 'right',
      className: 'number',
      render: (_, one) => amount(owed.get(one.organisation) ?? 0),
    },
  ];
  return (
    <Flex vertical gap="middle">
      <Section title={t('revenue:shares')}>
        <WideTable<Total>
          size="small"
          pagination={false}
          rowKey={(one) => one.organisation}
          dataSource={shown.totals}
          columns={columns}
        />
      </Section>
      {shown.bookings.map((one) => (
        <OneJob key={one.job} booked={one} currency={shown.currency} />
      ))}
      {shown.left_out.length ? (
        <Section title={t('revenue:left_out')}>
          <ul>
            {shown.left_out.map((one) => (
              <li key={one.job}>
                {one.job}: {rule(one.rule)}
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
    </Flex>
  );
}

function useAmount(currency: string): (value: number) => string {
  const { language } = usePreferences();
  return (value) => money(value, decimalsOf(currency), currency, language);
}

function OneJob({ booked, currency }: { booked: Booked; currency: string }) {
  const { t } = useTexts('revenue');
  const { language } = usePreferences();
  const amount = useAmount(currency);
  const figure = (name: string, said: (one: Line) => string) => ({
    title: t(`revenue:line.${name}`),
    key: name,
    align: 'right' as const,
    className: 'number',
    render: (_: unknown, one: Line) => said(one),
  });
  const range = (one: Line) => (one.low === null ? '' : `[${inSteps(one.low)}, ${inSteps(one.high)}]`);
  const columns: TableColumnsType<Line> = [
    { title: t('revenue:organisation'), key: 'organisation', dataIndex: 'organisation' },
    figure('score', (one) => inSteps(one.score)),
    figure('interval', range),
    figure('rows', (one) => number(one.rows, language)),
    figure('steps', (one) => number(one.steps, language)),
    figure('share', (one) => percent(one.share / WHOLE, language, 2)),
    figure('amount', (one) => amount(one.amount)),
  ];
  return (
    <Section title={`${booked.job}: ${amount(booked.amount)}`}>
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
    </Section>
  );
}
