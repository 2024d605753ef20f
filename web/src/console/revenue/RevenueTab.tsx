import { Alert, Button, Card, Flex, Typography, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, type Schemas } from '../../api/client';
import { money } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { SettlementState } from '../../shared/revenue/SettlementState';
import { Terms } from '../../shared/revenue/Terms';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import type { Project } from '../project';
import { leads, membershipOf } from '../projects/state';
import { useMe } from '../session';
import { AtTheAgent } from './AtTheAgent';
import { DraftDialog } from './DraftDialog';
import { OpenDialog } from './OpenDialog';
import css from './Revenue.module.css';
import type { Settlement } from './steps';

type Version = Schemas['AgreementVersion'];

/** How a project's revenue is shared: the agreement with its signatures, and the settlements. */
export function RevenueTab({ project }: { project: Project }) {
  const { t } = useTexts('revenue');
  const params = { params: { path: { key: project.id } } };
  const agreement = api.useQuery('get', '/api/v1/projects/{key}/revenue', params);
  const [drafting, draft] = useState(false);
  const may = useMay(project);
  return (
    <Flex vertical gap="middle">
      <Alert type="info" showIcon title={t('revenue:says')} description={t('revenue:says.how')} />
      <Answer query={agreement}>
        {(found) => (
          <>
            {found.current || found.candidate ? null : (
              <Empty
                title={t('revenue:agreement.none')}
                next={t('revenue:agreement.none.next')}
                action={<Id value={`secureflow revenue draft ${project.id} --file terms.yaml`} />}
              />
            )}
            {may ? (
              <div>
                <Button type={found.current ? 'default' : 'primary'} onClick={() => draft(true)}>
                  {t(found.current || found.candidate ? 'revenue:draft.next' : 'revenue:draft')}
                </Button>
                <DraftDialog
                  project={project}
                  standing={found.current ?? found.candidate ?? null}
                  open={drafting}
                  close={() => draft(false)}
                />
              </div>
            ) : null}
            {found.candidate ? <Waits version={found.candidate} project={project} /> : null}
            {found.current ? (
              <Stands version={found.current} earlier={found.earlier.length} />
            ) : null}
            {found.current ? <Settlements project={project} /> : null}
          </>
        )}
      </Answer>
    </Flex>
  );
}

/** Whether somebody may draft and propose: who leads the project for a member, while it is open. */
function useMay(project: Project): boolean {
  const me = useMe().data;
  const active = membershipOf(project, me?.organisation ?? '')?.state === 'active';
  return active && leads(me, project) && !project.closed;
}

/** A version that is not in force: who must still sign it, and how. */
function Waits({ version, project }: { version: Version; project: Project }) {
  const { t } = useTexts('revenue');
  const most = version.of_the_version_before;
  return (
    <Card size="small" title={t('revenue:agreement.waits')}>
      <Flex vertical gap="small">
        <p>
          {t('revenue:signed.by', { names: version.signed.join(', ') || t('revenue:nobody') })}{' '}
          {version.must_sign.length
            ? t('revenue:signed.must', { names: version.must_sign.join(', ') })
            : null}{' '}
          {most ? t('revenue:signed.most', { count: most }) : null}
        </p>
        <AtTheAgent commands={[['sign', `secureflow agent revenue sign ${project.id}`]]} />
        <Digest value={version.digest} />
        <Terms agreement={version.agreement} />
      </Flex>
    </Card>
  );
}

function Stands({ version, earlier }: { version: Version; earlier: number }) {
  const { t } = useTexts('revenue');
  return (
    <Card size="small" title={t('revenue:agreement.stands')}>
      <p>
        {t('revenue:signed.by', { names: version.signed.join(', ') })}{' '}
        {earlier ? t('revenue:earlier', { count: earlier }) : null}
      </p>
      <Digest value={version.digest} />
      <Terms agreement={version.agreement} />
    </Card>
  );
}

function Digest({ value }: { value: string }) {
  const { t } = useTexts('revenue');
  return (
    <p>
      {t('revenue:digest')} <Id value={value} />
    </p>
  );
}

function Settlements({ project }: { project: Project }) {
  const { t } = useTexts('revenue');
  const [opening, open] = useState(false);
  const query = api.useQuery('get', '/api/v1/projects/{key}/settlements', {
    params: { path: { key: project.id } },
  });
  const may = useMay(project);
  const propose = may ? (
    <Button type="primary" onClick={() => open(true)}>
      {t('revenue:open')}
    </Button>
  ) : null;
  return (
    <section aria-labelledby="settlements">
      <Flex justify="space-between" align="center">
        <Typography.Title level={2} id="settlements" className={css['title'] ?? ''}>
          {t('revenue:settlements')}
        </Typography.Title>
        {propose}
      </Flex>
      {may ? null : <p>{t('revenue:open.who')}</p>}
      <Answer
        query={query}
        empty={{
          when: ({ items }) => !items.length,
          show: <Empty title={t('revenue:none')} next={t('revenue:none.next')} />,
        }}
      >
        {({ items }) => <Listed items={[...items].reverse()} />}
      </Answer>
      {may ? <OpenDialog project={project} open={opening} close={() => open(false)} /> : null}
    </section>
  );
}

function Listed({ items }: { items: Settlement[] }) {
  const { t } = useTexts('revenue');
  const { language } = usePreferences();
  const columns: TableColumnsType<Settlement> = [
    {
      title: t('revenue:settlement'),
      key: 'id',
      render: (_, one) => (
        <Link to={`/settlements/${one.id}`}>
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
      title: t('revenue:amount'),
      key: 'amount',
      align: 'right',
      className: 'number',
      render: (_, one) => money(one.amount, one.decimals, one.currency, language),
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
      align: 'right',
      className: 'number',
      render: (_, one) => `${one.approvals.filter((each) => each.equal).length} / ${one.needed}`,
    },
    {
      title: t('revenue:opened'),
      key: 'opened',
      render: (_, one) => <Moment at={one.opened} />,
    },
  ];
  return (
    <WideTable<Settlement>
      size="small"
      pagination={false}
      rowKey={(one) => one.id}
      dataSource={items}
      columns={columns}
    />
  );
}
