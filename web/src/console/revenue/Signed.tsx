import { Alert, Card, Flex, Tag, type TableColumnsType } from 'antd';
import { money } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import type { Settlement } from './steps';

type Signature = Settlement['approvals'][number];
type Payment = Settlement['payments'][number];

/** What members signed in a settlement: approvals, disputes, accusations, and payments. */
export function Signed({ settlement }: { settlement: Settlement }) {
  const { t } = useTexts('revenue');
  const { accusations, approvals, disputes, payments } = settlement;
  return (
    <Flex vertical gap="middle">
      {accusations.length ? (
        <Alert type="error" showIcon title={t('revenue:accused')} />
      ) : null}
      {(['accusations', 'approvals', 'disputes'] as const).map((what) => {
        const rows = { accusations, approvals, disputes }[what];
        if (!rows.length) return null;
        return (
          <Card key={what} size="small" title={t(`revenue:signed.${what}`)}>
            <Signatures rows={rows} what={what} />
          </Card>
        );
      })}
      {payments.length ? (
        <Card size="small" title={t('revenue:payments')}>
          <Payments settlement={settlement} />
        </Card>
      ) : null}
    </Flex>
  );
}

type Props = { rows: Signature[]; what: 'accusations' | 'approvals' | 'disputes' };

function Signatures({ rows, what }: Props) {
  const { t } = useTexts('revenue');
  const said = (one: Signature) => {
    if (what === 'accusations') return <code>{one.code}</code>;
    if (what === 'disputes') {
      return (
        <Tag color={one.withdrawn ? 'default' : 'warning'}>
          {t(one.withdrawn ? 'revenue:dispute.withdrawn' : 'revenue:dispute.open')}
        </Tag>
      );
    }
    return (
      <Tag color={one.equal ? 'success' : 'error'}>
        {t(one.equal ? 'revenue:approval.equal' : 'revenue:approval.other')}
      </Tag>
    );
  };
  const columns: TableColumnsType<Signature> = [
    { title: t('revenue:organisation'), key: 'organisation', dataIndex: 'organisation' },
    { title: t('revenue:says.what'), key: 'said', render: (_, one) => said(one) },
    { title: t('revenue:signed.at'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
    { title: t('revenue:key'), key: 'key', render: (_, one) => <code>{one.key}</code> },
    { title: t('revenue:digest'), key: 'digest', render: (_, one) => <Id value={one.digest} /> },
  ];
  return (
    <WideTable<Signature>
      size="small"
      pagination={false}
      rowKey={(one) => `${one.organisation} ${one.digest} ${one.code}`}
      dataSource={rows}
      columns={columns}
    />
  );
}

function Payments({ settlement }: { settlement: Settlement }) {
  const { t } = useTexts('revenue');
  const { language } = usePreferences();
  const columns: TableColumnsType<Payment> = [
    { title: t('revenue:payer'), key: 'payer', dataIndex: 'payer' },
    { title: t('revenue:payee'), key: 'payee', dataIndex: 'payee' },
    {
      title: t('revenue:amount'),
      key: 'amount',
      align: 'right',
      className: 'number',
      render: (_, one) => money(one.amount, settlement.decimals, settlement.currency, language),
    },
    { title: t('revenue:stated'), key: 'stated', render: (_, one) => <Moment at={one.stated} /> },
    {
      title: t('revenue:confirmed'),
      key: 'confirmed',
      render: (_, one) =>
        typeof one.confirmed === 'number' ? (
          <Moment at={one.confirmed} />
        ) : (
          <Tag color="warning">{t('revenue:confirmed.not')}</Tag>
        ),
    },
    {
      title: t('revenue:reference'),
      key: 'reference',
      render: (_, one) => <Id value={one.reference} />,
    },
  ];
  return (
    <WideTable<Payment>
      size="small"
      pagination={false}
      rowKey={(one) => `${one.payer} ${one.reference}`}
      dataSource={settlement.payments}
      columns={columns}
    />
  );
}
