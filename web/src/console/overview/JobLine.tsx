import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { StateTag } from '../../shared/parts/StateTag';
import css from './Overview.module.css';
import type { JobSummary } from './overview';

/** A job in one line, and what is to be said of it below. */
export function JobLine({ job, children }: { job: JobSummary; children?: ReactNode }) {
  const { t, has } = useTexts();
  const kind = `words:kind.${job.kind}`;
  return (
    <li>
      <div className={css['line']}>
        <span>
          <Link to={`/jobs/${job.id}`}>{job.name || job.id}</Link>{' '}
          <span className={css['quiet']}>
            {has(kind) ? t(`words:kind.${job.kind}`) : job.kind} · {job.organisation}
          </span>
        </span>
        <span>
          <StateTag state={job.state} /> <Moment at={job.updated} />
        </span>
      </div>
      {children}
    </li>
  );
}
