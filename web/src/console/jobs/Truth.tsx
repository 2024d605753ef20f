import { Alert } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { absentOf } from './absent';
import { Absences } from './Absences';
import type { JobEvent } from './events';
import type { Job } from './useJob';
import { hintOfError, over, textOfError } from './words';

type Waiting = { party: string; message: string; hint: string; since: number };
const TYPES = { failed: 'error', paused: 'warning', succeeded: 'success' } as const;

/** Who waits in a job for what, as its progress says. */
export function waitingOf(progress: Record<string, unknown>): Waiting[] {
  const listed = progress['waiting'];
  if (!Array.isArray(listed)) return [];
  return listed.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null) return [];
    const { party, message, hint, since } = one as Record<string, unknown>;
    const text = (value: unknown) => (typeof value === 'string' ? value : '');
    return [
      {
        party: text(party),
        message: text(message),
        hint: text(hint),
        since: typeof since === 'number' ? since : 0,
      },
    ];
  });
}

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
