import { Alert, Flex } from 'antd';
import { Link, useParams } from 'react-router';
import { money } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { usePreferences } from '../../shared/preferences';
import { decimalsOf } from '../../shared/revenue/currencies';
import { SettlementState } from '../../shared/revenue/SettlementState';
import { Answer } from '../../shared/states/Answer';
import { api, type Schemas } from '../api';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import { Amounts } from './Amounts';
import { Deciding } from './Deciding';
import { agrees } from './waiting';

type Shown = Schemas['OwnSettlement'];

/** One settlement as this agent computed it from records that it verified, and its decisions. */
export default function OwnSettlementPage() {
  const { t } = useTexts('revenue');
  const { project = '', settlement = '' } = useParams();
  const query = api.useQuery(
    'get',
    '/api/revenue/{project}/settlements/{settlement}',
    { params: { path: { project, settlement } } },
    { staleTime: Infinity }, // what is read is what is signed
  );
  return (
    <PageFrame
      title={t('revenue:settlement')}
      lead={<Id value={settlement} />}
      extra={<Link to={`/settlements/${project}`}>{t('revenue:own.of')}</Link>}
    >
      <Answer query={query}>
        {(shown) => (
          <Flex vertical gap="middle">
            <Compared shown={shown} />
            <About shown={shown} />
            <Amounts shown={shown} />
            <Deciding shown={shown} project={project} />
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

/** The digest of what was computed here, beside the one that the centre shows. */
function Compared({ shown }: { shown: Shown }) {
  const { t } = useTexts('revenue');
  const same = agrees(shown);
  return (
    <Section title={t('revenue:own.compared')}>
      <Alert
        type={same ? 'success' : 'error'}
        showIcon
        title={t(same ? 'revenue:own.same' : 'revenue:own.other')}
      />
      <Facts
        facts={[
          { label: t('revenue:own.here'), value: <Id value={shown.digest} /> },
          { label: t('revenue:own.centre'), value: <Id value={shown.centre} />, warns: !same },
        ]}
      />
      {shown.accusations.length ? (
        <Alert
          type="error"
          showIcon
          title={t('revenue:accused')}
          description={shown.accusations.map((one) => `${one.by}: ${one.code}`).join(', ')}
        />
      ) : null}
    </Section>
  );
}

function About({ shown }: { shown: Shown }) {
  const { t } = useTexts('revenue');
  const { language } = usePreferences();
  const { row, currency } = shown;
  const amount = (value: number) => money(value, decimalsOf(currency), currency, language);
  const at = (value: number) => (value ? <Moment at={value} /> : '');
  const approved = t('revenue:approvals.of', { count: row.approvals.length, needed: row.needed });
  return (
    <Section title={t('revenue:own.about')}>
      <Facts
        facts={[
          { label: t('revenue:fact.state'), value: <SettlementState state={row.state} /> },
          { label: t('revenue:fact.amount'), value: amount(shown.amount) },
          { label: t('revenue:fact.entered'), value: row.entered ? amount(row.entered) : '' },
          { label: t('revenue:fact.payer'), value: shown.payer },
          {
            label: t('revenue:fact.approvals'),
            value: [approved, row.approvals.join(', ')].filter(Boolean).join(': '),
          },
          { label: t('revenue:signed.disputes'), value: row.disputes.join(', ') },
          { label: t('revenue:fact.since'), value: at(row.since) },
          { label: t('revenue:fact.closes'), value: at(row.closes) },
          { label: t('revenue:fact.closed'), value: at(row.closed) },
          { label: t('revenue:fact.replaces'), value: row.replaces ? <Id value={row.replaces} /> : '' },
        ]}
      />
    </Section>
  );
}
