import { Card, Flex, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { money } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { JobLines } from '../../shared/revenue/JobLines';
import css from './Revenue.module.css';
import type { Settlement } from './steps';

type Member = Settlement['members'][number];
type Booking = Settlement['bookings'][number];
type Line = Booking['lines'][number];

/** Every figure of a settlement: what each member gets, and how that follows from each job. */
export function Figures({ settlement }: { settlement: Settlement }) {
  const { t, has } = useTexts('revenue');
  const rule = (one: string) => (has(`revenue:rule.${one}`) ? t(`revenue:rule.${one}`) : one);
  return (
    <Flex vertical gap="middle">
      <Members settlement={settlement} />
      {settlement.bookings.map((one) => (
        <OneJob key={one.job} booking={one} settlement={settlement} />
      ))}
      {settlement.left_out.length ? (
        <Card size="small" title={t('revenue:left_out')}>
          <ul>
            {settlement.left_out.map((one) => (
              <li key={one.job}>
                <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link>: {rule(one.rule)}
              </li>
            ))}
          </ul>
        </Card>
      ) : null}
    </Flex>
  );
}

function useMoney(settlement: Settlement): (amount: number) => string {
  const { language } = usePreferences();
  return (amount) => money(amount, settlement.decimals, settlement.currency, language);
}

function Members({ settlement }: { settlement: Settlement }) {
  const { t } = useTexts('revenue');
  const amount = useMoney(settlement);
  const figure = (name: 'amount' | 'owed' | 'stated' | 'confirmed') => ({
    title: t(`revenue:member.${name}`),
    key: name,
    align: 'right' as const,
    className: 'number',
    render: (_: unknown, one: Member) => amount(one[name]),
  });
  const columns: TableColumnsType<Member> = [
    { title: t('revenue:organisation'), key: 'organisation', dataIndex: 'organisation' },
    figure('amount'),
    figure('owed'),
    figure('stated'),
    figure('confirmed'),
    { title: t('revenue:key'), key: 'key', render: (_, one) => <code>{one.key}</code> },
  ];
  return (
    <Card size="small" title={t('revenue:shares')}>
      <WideTable<Member>
        size="small"
        pagination={false}
        rowKey={(one) => one.organisation}
        dataSource={settlement.members}
        columns={columns}
      />
    </Card>
  );
}

function OneJob({ booking, settlement }: { booking: Booking; settlement: Settlement }) {
  const { t } = useTexts('revenue');
  const amount = useMoney(settlement);
  const formula = {
    title: t('revenue:line.formula'),
    key: 'formula',
    render: (_: unknown, one: Line) => <span className={css['formula']}>{one.formula}</span>,
  };
  return (
    <Card
      size="small"
      title={
        <>
          <Link to={`/jobs/${encodeURIComponent(booking.job)}`}>{booking.job}</Link>
          {': '}
          {amount(booking.amount)}
        </>
      }
    >
      <JobLines booked={booking} amount={amount} more={[formula]} />
    </Card>
  );
}
