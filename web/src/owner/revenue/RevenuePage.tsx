import { Button, Flex, Form, Input, Tag } from 'antd';
import { Link, useNavigate } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api, type Schemas } from '../api';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';
import { useSession } from '../session';
import { waitingFor } from './waiting';

const PROJECT = /^prj_[0-9a-z]{1,40}$/;
/** Projects whose state is asked for at once. */
const AT_ONCE = 20;

/** What waits for this organisation about money: agreements to sign, settlements to decide. */
export default function RevenuePage() {
  const { t } = useTexts('revenue');
  const query = api.useQuery('get', '/api/revenue');
  return (
    <PageFrame title={t('revenue:own.title')} lead={t('revenue:own.lead')}>
      <Answer query={query}>
        {({ projects }) => (
          <Flex vertical gap="middle">
            {projects.length ? null : (
              <Empty title={t('revenue:own.none')} next={t('revenue:own.none.next')} />
            )}
            {projects.map((one, place) => (
              <Section
                key={one.id}
                title={one.id}
                extra={<Link to={`/settlements/${one.id}`}>{t('revenue:own.look')}</Link>}
              >
                {place < AT_ONCE ? <Waits project={one.id} /> : null}
              </Section>
            ))}
            <Another />
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

/** What of a project waits for this organisation. */
function Waits({ project }: { project: string }) {
  const { t } = useTexts('revenue');
  const params = { params: { path: { project } } };
  const agreement = api.useQuery('get', '/api/revenue/{project}', params);
  return (
    <Answer query={agreement}>
      {(found) => (
        <ul className={parts['lines']}>
          {found.candidate && !found.mine ? (
            <li>
              <Tag color="warning">{t('revenue:own.waits')}</Tag>{' '}
              <Link to={`/settlements/${project}`}>{t('revenue:own.sign.waits')}</Link>
            </li>
          ) : null}
          {found.pinned ? <Settlements project={project} /> : null}
          {found.pinned || found.candidate ? null : <li>{t('revenue:agreement.none')}</li>}
        </ul>
      )}
    </Answer>
  );
}

function Settlements({ project }: { project: string }) {
  const { t } = useTexts('revenue');
  const organisation = useSession().data?.organisation ?? '';
  const query = api.useQuery('get', '/api/revenue/{project}/settlements', {
    params: { path: { project } },
  });
  const waits = (one: Schemas['SettlementRow']) => waitingFor(one, organisation);
  return (
    <Answer query={query}>
      {({ settlements }) => {
        const open = settlements.filter(waits);
        if (!open.length) return <li>{t('revenue:own.waits.none')}</li>;
        return open.map((one) => (
          <li key={one.id}>
            <Tag color="warning">{t('revenue:own.waits')}</Tag>{' '}
            <Link to={`/settlements/${project}/${one.id}`}>
              {t(one.state === 'closed' ? 'revenue:own.pay.waits' : 'revenue:own.decide.waits')}{' '}
              <code>{one.id}</code>
            </Link>
          </li>
        ));
      }}
    </Answer>
  );
}

/** A project that this agent has not met yet: its agreement may be the first thing of it. */
function Another() {
  const { t } = useTexts('revenue');
  const go = useNavigate();
  return (
    <Section title={t('revenue:own.another')}>
      <Form<{ project: string }>
        name="another"
        layout="inline"
        requiredMark={false}
        onFinish={({ project }) => void go(`/settlements/${project.trim()}`)}
      >
        <Form.Item
          name="project"
          label={t('revenue:own.project')}
          normalize={(value: string) => value.trim()}
          rules={[{ required: true, pattern: PROJECT, message: t('revenue:own.project.form') }]}
        >
          <Input maxLength={44} style={{ minWidth: 260 }} />
        </Form.Item>
        <Button htmlType="submit">{t('revenue:own.look')}</Button>
      </Form>
    </Section>
  );
}
