import { Alert } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { absentOf } from './absent';
import { Absences } from './Absences';
import type { JobEvent } from './events';
import type { Job } from './useJob';
import { waitingOf } from './waiting';
import { hintOfError, over, textOfError } from './words';

const TYPES = { failed: 'error', paused: 'warning', succeeded: 'success' } as const;

/** One line of truth: the state, since when, what the job waits for, and the next step. */
export function Truth({ job, events }: { job: Job; events: readonly JobEvent[] }) {
  const { t } = useTexts('jobs');
  const waiting = waitingOf(job.progress ?? {});
  const since = events.findLast((one) => one.kind === 'state')?.at ?? job.updated;
  const type = absentOf(job).length ? 'warning' : (TYPES[job.state as keyof typeof TYPES] ?? 'info');
  const message = textOfError(job.error);
  const hint = hintOfError(job.error);
  const part = job.progress?.['part'];
  return (
    <Alert
      type={type}
      showIcon
      title={
        <>
          {t(`jobs:truth.${job.state}`)} <Moment at={since} />
        </>
      }
      description={
        <>
          {message ? <p>{message}</p> : null}
          {hint ? <p>{hint}</p> : null}
          {waiting.length ? (
            <ul>
              {waiting.map((one) => (
                <li key={`${one.party}/${one.message}`}>
                  {one.party ? <strong>{one.party}</strong> : null} {one.message}{' '}
                  {one.since ? <Moment at={one.since} /> : null} {one.hint}
                </li>
              ))}
            </ul>
          ) : null}
          <Absences job={job} />
          {job.state === 'proposed' ? <p>{t('jobs:truth.proposed.next')}</p> : null}
          {typeof part === 'string' && part && !over(job.state) ? (
            <p>
              {t('jobs:part')} <Link to={`/jobs/${encodeURIComponent(part)}`}>{part}</Link>
            </p>
          ) : null}
        </>
      }
    />
  );
}
