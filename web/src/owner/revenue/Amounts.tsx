import { Flex, type TableColumnsType } from 'antd';
import { money } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { decimalsOf } from '../../shared/revenue/currencies';
import { JobLines } from '../../shared/revenue/JobLines';
import type { Schemas } from '../api';
import { Section } from '../parts/Section';

type Shown = Schemas['OwnSettlement'];
type Booked = Shown['bookings'][number];
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
  const amount = useAmount(currency);
  return (
    <Section title={`${booked.job}: ${amount(booked.amount)}`}>
      <JobLines booked={booked} amount={amount} />
    </Section>
  );
}
