import { useTexts } from '../../shared/i18n';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { JobLine } from './JobLine';
import { failureOf, useJobs, type JobSummary } from './jobs';
import css from './Overview.module.css';
import { Panel } from './Panel';

/** What failed, why, and what to do about it. */
export function Failures() {
  const { t } = useTexts('overview');
  const failed = useJobs('failed');
  return (
    <Panel title={t('overview:failed')}>
      <Answer
        query={failed}
        empty={{
          when: (page) => !page.items.length,
          show: <Empty title={t('overview:failed.none')} />,
        }}
      >
        {(page) => (
          <ul className={css['lines']}>
            {page.items.map((job) => (
              <JobLine key={job.id} job={job}>
                <Reason job={job} />
              </JobLine>
            ))}
          </ul>
        )}
      </Answer>
    </Panel>
  );
}

function Reason({ job }: { job: JobSummary }) {
  const { code, message, hint } = failureOf(job);
  return (
    <>
      <p>{message}</p>
      <p className={css['quiet']}>
        {hint} {code ? <code>{code}</code> : null}
      </p>
    </>
  );
}
