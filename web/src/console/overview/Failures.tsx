import { useTexts } from '../../shared/i18n';
import { Empty } from '../../shared/states/Empty';
import { JobLine } from './JobLine';
import css from './Overview.module.css';
import { failureOf, type JobSummary } from './overview';
import { Panel } from './Panel';

/** What failed, why, and what to do about it. */
export function Failures({ jobs }: { jobs: JobSummary[] }) {
  const { t } = useTexts('overview');
  return (
    <Panel title={t('overview:failed')}>
      {jobs.length ? (
        <ul className={css['lines']}>
          {jobs.map((job) => (
            <JobLine key={job.id} job={job}>
              <Reason job={job} />
            </JobLine>
          ))}
        </ul>
      ) : (
        <Empty title={t('overview:failed.none')} />
      )}
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
