import { Alert, Flex, Tabs } from 'antd';
import { useParams, useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { PageFrame } from '../../shared/parts/PageFrame';
import { StateTag } from '../../shared/parts/StateTag';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { AnchorsTab } from './AnchorsTab';
import { ExplanationTab } from './ExplanationTab';
import { JobDeeds } from './JobDeeds';
import { LiveTab } from './LiveTab';
import { LogTab } from './LogTab';
import { QuestionsTab } from './QuestionsTab';
import { ReportTab } from './ReportTab';
import { RequestTab } from './RequestTab';
import { Truth } from './Truth';
import { useJob, useJobEvents, type Job } from './useJob';

/** A job: what it waits for and what is next, its course, its report, and who could see what. */
export default function JobPage() {
  const { job: key = '' } = useParams();
  const { t } = useTexts('jobs');
  const query = useJob(key);
  const job = query.data;
  return (
    <PageFrame
      title={job?.name ?? t('jobs:job')}
      lead={
        <>
          <Id value={key} />{' '}
          {job ? (
            <>
              {t(`words:kind.${job.kind}`)} <StateTag state={job.state} />
            </>
          ) : null}
        </>
      }
      extra={job ? <JobDeeds job={job} /> : null}
    >
      <Answer query={query}>{(one) => <Parts job={one} />}</Answer>
    </PageFrame>
  );
}

function Parts({ job }: { job: Job }) {
  const { t } = useTexts('jobs');
  const [search, go] = useSearchParams();
  const { events, failed, loading } = useJobEvents(job.id);
  const ended = job.state === 'succeeded';
  const parts = [
    { key: 'live', label: t('jobs:live'), children: <LiveTab job={job} events={events} /> },
    ...(ended
      ? [{ key: 'report', label: t('jobs:report'), children: <ReportTab job={job} /> }]
      : []),
    { key: 'explanation', label: t('jobs:explanation'), children: <ExplanationTab job={job} /> },
    { key: 'questions', label: t('jobs:questions'), children: <QuestionsTab job={job} /> },
    { key: 'request', label: t('jobs:request'), children: <RequestTab job={job} /> },
    { key: 'anchors', label: t('jobs:anchors'), children: <AnchorsTab job={job} /> },
    { key: 'log', label: t('jobs:log'), children: <LogTab events={events} loading={loading} /> },
  ];
  const asked = search.get('part');
  const first = ended ? 'report' : 'live';
  const shown = parts.some((one) => one.key === asked) ? (asked ?? first) : first;
  return (
    <Flex vertical gap="middle">
      <Truth job={job} events={events} />
      {failed ? <Failed error={failed} /> : null}
      {job.state === 'failed' && !job.error ? <Alert type="error" title={t('jobs:failed')} /> : null}
      <Tabs
        activeKey={shown}
        onChange={(part) => go({ part }, { replace: true })}
        items={parts}
        destroyOnHidden
      />
    </Flex>
  );
}
