import { Alert, Button, Flex, type TableColumnsType } from 'antd';
import { Link, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { WideTable } from '../../shared/parts/WideTable';
import { SettlementState } from '../../shared/revenue/SettlementState';
import { Terms } from '../../shared/revenue/Terms';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { api, http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import { useMay } from '../session';

type Version = Schemas['SignedVersion'];
type Row = Schemas['SettlementRow'];
const STALE = ['/api/revenue', '/api/revenue/{project}', '/api/revenue/{project}/settlements'];

/** A project's agreement and settlements, as this agent checked them. */
export default function OwnProjectPage() {
  const { t } = useTexts('revenue');
  const { project = '' } = useParams();
  const query = api.useQuery(
    'get',
    '/api/revenue/{project}',
    { params: { path: { project } } },
    { staleTime: Infinity }, // what is read is what is signed
  );
  return (
    <PageFrame
      title={t('revenue:own.of')}
      lead={<Id value={project} />}
      extra={<Link to="/settlements">{t('revenue:own.title')}</Link>}
    >
      <Answer query={query}>
        {(found) => (
          <Flex vertical gap="middle">
            {found.candidate ? (
              <ToSign version={found.candidate} project={project} mine={found.mine} />
            ) : null}
            {found.pinned ? <Stands version={found.pinned} /> : null}
            {found.pinned || found.candidate ? null : (
              <Empty title={t('revenue:agreement.none')} next={t('revenue:agreement.none.next')} />
            )}
            {found.pinned ? <Settlements project={project} /> : null}
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

function Signatures({ version }: { version: Version }) {
  const { t } = useTexts('revenue');
  return (
    <Facts
      facts={[
        {
          label: t('revenue:own.signed'),
          value: version.signed.join(', ') || t('revenue:nobody'),
        },
        { label: t('revenue:digest'), value: <Id value={version.digest} /> },
      ]}
    />
  );
}

type ToSignProps = { version: Version; project: string; mine: boolean };

/** The version that waits: every term, and the signature of exactly these. */
function ToSign({ version, project, mine }: ToSignProps) {
  const { t } = useTexts('revenue');
  const admin = useMay('owner-admin');
  const sign = useDeed(
    () =>
      http.POST('/api/revenue/{project}/sign', {
        params: { path: { project } },
        body: { digest: version.digest },
      }),
    ...STALE,
  );
  return (
    <Section title={t('revenue:agreement.waits')}>
      <Flex vertical gap="small">
        <Signatures version={version} />
        <Terms agreement={version.agreement} />
        {mine ? (
          <Alert type="success" showIcon title={t('revenue:own.sign.done')} />
        ) : (
          <Alert type="info" showIcon title={t('revenue:own.sign.hint')} />
        )}
        {sign.isError ? <Failed error={sign.error} /> : null}
        {mine || !admin ? null : (
          <div>
            <Button type="primary" loading={sign.isPending} onClick={() => sign.mutate(undefined)}>
              {t('revenue:own.sign')}
            </Button>
          </div>
        )}
        {mine || admin ? null : <p>{t('revenue:own.role')}</p>}
      </Flex>
    </Section>
  );
}

function Stands({ version }: { version: Version }) {
  const { t } = useTexts('revenue');
  return (
    <Section title={t('revenue:agreement.stands')}>
      <Signatures version={version} />
      <Terms agreement={version.agreement} />
    </Section>
  );
}

function Settlements({ project }: { project: string }) {
  const { t } = useTexts('revenue');
  const query = api.useQuery('get', '/api/revenue/{project}/settlements', {
    params: { path: { project } },
  });
  const columns: TableColumnsType<Row> = [
    {
      title: t('revenue:settlement'),
      key: 'id',
      render: (_, one) => (
        <Link to={`/settlements/${project}/${one.id}`}>
          <code>{one.id}</code>
        </Link>
      ),
    },
    {
      title: t('revenue:state'),
      key: 'state',
      render: (_, one) => <SettlementState state={one.state} />,
    },
    {
      title: t('revenue:jobs'),
      key: 'jobs',
      align: 'right',
      className: 'number',
      render: (_, one) => one.jobs.length,
    },
    {
      title: t('revenue:approvals'),
      key: 'approvals',
      render: (_, one) => `${one.approvals.length} / ${one.needed}`,
    },
    {
      title: t('revenue:fact.closes'),
      key: 'closes',
      render: (_, one) => (one.closes ? <Moment at={one.closes} /> : ''),
    },
  ];
  return (
    <Section title={t('revenue:settlements')}>
      <Answer
        query={query}
        empty={{
          when: ({ settlements }) => !settlements.length,
          show: <Empty title={t('revenue:none')} next={t('revenue:none.next')} />,
        }}
      >
        {({ settlements }) => (
          <WideTable<Row>
            size="small"
            pagination={false}
            rowKey={(one) => one.id}
            dataSource={[...settlements].reverse()}
            columns={columns}
          />
        )}
      </Answer>
    </Section>
  );
}
