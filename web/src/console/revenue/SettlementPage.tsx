import { Button, Card, Descriptions, Flex, Space } from 'antd';
import { Link, useParams } from 'react-router';
import { api, http } from '../../api/client';
import { money } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment, useNow } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { usePreferences } from '../../shared/preferences';
import { SettlementState } from '../../shared/revenue/SettlementState';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { leads } from '../projects/state';
import { useMe } from '../session';
import { useDeed } from '../settings/deeds';
import { AtTheAgent } from './AtTheAgent';
import { Figures } from './Figures';
import { Signed } from './Signed';
import { Statements } from './Statements';
import { closable, stepsFor, type Settlement } from './steps';

/** One settlement: who gets what and why, who signed it, and what is paid. */
export default function SettlementPage() {
  const { settlement: key = '' } = useParams();
  const { t } = useTexts('revenue');
  const query = api.useQuery('get', '/api/v1/settlements/{key}', { params: { path: { key } } });
  return (
    <PageFrame
      title={t('revenue:settlement')}
      lead={<Id value={key} />}
      extra={query.data ? <Deeds settlement={query.data} /> : null}
    >
      <Answer query={query}>
        {(one) => (
          <Flex vertical gap="middle">
            <Facts settlement={one} />
            <Next settlement={one} />
            <Figures settlement={one} />
            <Signed settlement={one} />
            <p>{t('revenue:shown.by')}</p>
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

function Deeds({ settlement }: { settlement: Settlement }) {
  return (
    <Space wrap>
      <Closing settlement={settlement} />
      <Statements settlement={settlement} />
    </Space>
  );
}

/** Once nobody can dispute it any more, a lead of the project closes it: from then on it is owed. */
function Closing({ settlement }: { settlement: Settlement }) {
  const { t } = useTexts('revenue');
  const me = useMe().data;
  const key = settlement.project;
  const project = api.useQuery('get', '/api/v1/projects/{key}', { params: { path: { key } } }).data;
  const params = { params: { path: { key: settlement.id } } };
  const close = useDeed(
    () => http.POST('/api/v1/settlements/{key}/close', params),
    '/api/v1/settlements/{key}',
    '/api/v1/projects/{key}/settlements',
  );
  const now = useNow();
  if (!closable(settlement, now) || !project || !leads(me, project)) return null;
  return (
    <>
      <Button type="primary" loading={close.isPending} onClick={() => close.mutate(undefined)}>
        {t('revenue:close')}
      </Button>
      {close.isError ? <Failed error={close.error} /> : null}
    </>
  );
}

function Facts({ settlement: one }: { settlement: Settlement }) {
  const { t } = useTexts('revenue');
  const { language } = usePreferences();
  const amount = (value: number) => money(value, one.decimals, one.currency, language);
  const at = (value: number | null | undefined) => (value ? <Moment at={value} /> : '');
  const facts: [string, React.ReactNode][] = [
    ['state', <SettlementState key="state" state={one.state} />],
    [
      'project',
      <Link key="project" to={`/projects/${encodeURIComponent(one.project)}?part=revenue`}>
        {one.project}
      </Link>,
    ],
    ['amount', amount(one.amount)],
    ['entered', one.entered ? amount(one.entered) : ''],
    ['payer', one.payer],
    ['rounding', one.rounding],
    [
      'approvals',
      t('revenue:approvals.of', {
        count: one.approvals.filter((each) => each.equal).length,
        needed: one.needed,
      }),
    ],
    ['opened', at(one.opened)],
    ['since', at(one.since)],
    ['closes', at(one.closes)],
    ['closed', at(one.closed)],
    ['version', one.version],
    ['replaces', one.replaces ? <Link key="r" to={`/settlements/${one.replaces}`}>{one.replaces}</Link> : ''],
    ['agreement', <Id key="agreement" value={one.agreement} />],
    ['computed', <Id key="computed" value={one.computed} />],
  ];
  return (
    <Card size="small">
      <Descriptions
        size="small"
        column={{ xs: 1, lg: 2 }}
        items={facts
          .filter(([, value]) => value !== '')
          .map(([name, value]) => ({
            key: name,
            label: t(`revenue:fact.${name}`),
            children: value,
            ...(name === 'agreement' || name === 'computed' || name === 'replaces'
              ? { span: 'filled' as const }
              : {}),
          }))}
      />
    </Card>
  );
}

/** What the own organisation decides next, and where: not here. */
function Next({ settlement: one }: { settlement: Settlement }) {
  const { language } = usePreferences();
  const me = useMe().data;
  const now = useNow();
  const steps = stepsFor(one, me?.organisation ?? '', now);
  return (
    <AtTheAgent
      commands={[
        ...(steps.length
          ? ([['show', `secureflow agent settlement show ${one.id}`]] as const)
          : []),
        ...steps.map((step) => {
          const amount = money(step.amount ?? 0, one.decimals, one.currency, language);
          return [step.what, step.command, { who: step.who ?? '', amount }] as const;
        }),
      ]}
    />
  );
}
