import { Progress } from 'antd';
import { useTexts } from '../../shared/i18n';
import { number } from '../../shared/format';
import { usePreferences } from '../../shared/preferences';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { JobLine } from './JobLine';
import { roundOf, useJobs, type JobSummary } from './jobs';
import css from './Overview.module.css';
import { Panel } from './Panel';

/** What runs, or would if it were its turn. */
export function Running() {
  const { t } = useTexts('overview');
  const states = [useJobs('running'), useJobs('paused'), useJobs('admitted'), useJobs('approved')];
  const failed = states.find((one) => one.isError && one.data === undefined);
  const jobs = states.flatMap((one) => one.data?.items ?? []);
  return (
    <Panel title={t('overview:running')}>
      {failed ? (
        <Failed error={failed.error} retry={() => void failed.refetch()} />
      ) : jobs.length ? (
        <ul className={css['lines']}>
          {jobs.map((job) => (
            <JobLine key={job.id} job={job}>
              <Rounds job={job} />
            </JobLine>
          ))}
        </ul>
      ) : states.some((one) => one.isPending) ? (
        <Loading />
      ) : (
        <Empty title={t('overview:running.none')} next={t('overview:running.next')} />
      )}
    </Panel>
  );
}

function Rounds({ job }: { job: JobSummary }) {
  const { t } = useTexts('overview');
  const { language } = usePreferences();
  const round = roundOf(job);
  if (!round) return null;
  const facts = { done: number(round.done, language), of: number(round.of, language) };
  const label = t('overview:running.round', facts);
  return (
    <div>
      <Progress
        percent={Math.round((100 * round.done) / round.of)}
        size="small"
        showInfo={false}
        aria-label={label}
      />
      <p className={css['quiet']}>{label}</p>
    </div>
  );
}
