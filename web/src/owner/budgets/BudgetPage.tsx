import { Alert, Button, Flex } from 'antd';
import { lazy, Suspense } from 'react';
import { Link, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { api, http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import { ShareBar } from '../parts/ShareBar';
import { useMay } from '../session';
import { Charges } from './Charges';

const Course = lazy(() => import('./Course'));

/** One privacy budget: how it stood after each event, and by which jobs. */
export default function BudgetPage() {
  const { t } = useTexts('holdings');
  const { domain = '' } = useParams();
  const query = api.useQuery('get', '/api/budgets/{domain}', { params: { path: { domain } } });
  return (
    <PageFrame
      title={domain}
      lead={t('holdings:budget')}
      extra={<Link to="/budgets">{t('holdings:budgets')}</Link>}
    >
      <Answer query={query}>{(shown) => <Shown shown={shown} />}</Answer>
    </PageFrame>
  );
}

function Shown({ shown }: { shown: Schemas['Budget'] }) {
  const { t } = useTexts('holdings');
  const { budget, course } = shown;
  return (
    <Flex vertical gap="middle">
      {budget.locked ? <Locked domain={budget.domain} /> : null}
      <Section title={t('holdings:about')}>
        <ShareBar share={budget.share} />
        <Facts
          facts={[
            { label: t('holdings:budget.unit'), value: budget.unit },
            { label: 'δ', value: String(budget.delta) },
            { label: t('holdings:budget.datasets'), value: budget.datasets.join(', ') },
          ]}
        />
      </Section>
      <Section title={t('holdings:budget.course')}>
        {course.some((one) => one.at > 0) ? (
          <Suspense fallback={<Loading />}>
            <Course course={course} domain={budget.domain} />
          </Suspense>
        ) : (
          <p>{t('holdings:budget.untouched')}</p>
        )}
      </Section>
      <Section title={t('holdings:budget.jobs')}>
        <Charges entries={budget.entries} />
      </Section>
    </Flex>
  );
}

/** A restored agent does not know what was spent since its backup: it asks its owner. */
function Locked({ domain }: { domain: string }) {
  const { t } = useTexts('holdings');
  const admin = useMay('owner-admin');
  const unlock = useDeed(
    () => http.POST('/api/budgets/{domain}/unlock', { params: { path: { domain } } }),
    '/api/budgets',
    '/api/budgets/{domain}',
    '/api/overview',
  );
  return (
    <Alert
      type="warning"
      showIcon
      title={t('holdings:budget.locked')}
      description={
        <>
          <p>{t('holdings:budget.locked.hint')}</p>
          <code>secureflow agent data settle {domain} --bundle FILE</code>
          {unlock.isError ? <Failed error={unlock.error} /> : null}
        </>
      }
      action={
        admin ? (
          <Button loading={unlock.isPending} onClick={() => unlock.mutate(undefined)}>
            {t('holdings:budget.unlock')}
          </Button>
        ) : null
      }
    />
  );
}
