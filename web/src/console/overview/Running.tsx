import { Progress } from 'antd';
import { Link } from 'react-router';
import type { Schemas } from '../../api/client';
import { number } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { usePreferences } from '../../shared/preferences';
import { Empty } from '../../shared/states/Empty';
import { Away } from './Away';
import { JobLine } from './JobLine';
import css from './Overview.module.css';
import { roundOf, type Absence, type JobSummary } from './overview';
import { useMe } from '../session';
import { Panel } from './Panel';

type Props = {
  jobs: JobSummary[];
  absent: Absence[];
  more: Schemas['Overview']['absent_more'];
  queue: Schemas['QueueCounts'];
};

/** What runs, or would if it were its turn. */
export function Running({ jobs, absent, more, queue }: Props) {
  const { t } = useTexts('overview');
  const draws = useMe().data?.roles.includes('data-scientist') ?? false;
  const waiting = queue.waiting ? t('overview:running.queue', { count: queue.waiting }) : null;
  return (
    <Panel title={t('overview:running')} extra={waiting}>
      {jobs.length ? (
        <ul className={css['lines']}>
          {jobs.map((job) => (
            <JobLine key={job.id} job={job}>
              <Rounds job={job} />
              <Away absent={absent.filter((one) => one.job === job.id)} more={more[job.id]} />
            </JobLine>
          ))}
        </ul>
      ) : (
        <Empty
          title={t('overview:running.none')}
          next={t('overview:running.next')}
          action={draws ? <Link to="/jobs/new">{t('overview:running.draw')}</Link> : null}
        />
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
