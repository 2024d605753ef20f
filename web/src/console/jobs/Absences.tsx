import { Typography } from 'antd';
import { duration } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { usePreferences } from '../../shared/preferences';
import { absentOf, ENCLAVE, patienceOf, type Absent } from './absent';
import type { Job } from './useJob';

const DOCTOR = 'secureflow agent doctor';
const START = 'secureflow agent start';

/** Whose agent has no link, since when, what the job does meanwhile, and what its owner can run. */
export function Absences({ job }: { job: Job }) {
  const { t } = useTexts('jobs');
  const { language } = usePreferences();
  const absent = absentOf(job);
  if (!absent.length) return null;
  const patience = patienceOf(job.spec);
  const agents = absent.some((one) => one.party !== ENCLAVE);
  return (
    <>
      <ul>
        {absent.map((one) => (
          <li key={one.party}>
            <Away absent={one} />
          </li>
        ))}
      </ul>
      <p>
        {t(job.state === 'proposed' ? 'jobs:absent.asked' : 'jobs:absent.next')}{' '}
        {patience && job.state !== 'proposed'
          ? t('jobs:absent.patience', { patience: duration(patience, language) })
          : null}
      </p>
      {agents ? (
        <p>
          {t('jobs:absent.owner')} <Typography.Text code>{DOCTOR}</Typography.Text>{' '}
          {t('jobs:absent.start')} <Typography.Text code>{START}</Typography.Text>
        </p>
      ) : null}
    </>
  );
}

function Away({ absent }: { absent: Absent }) {
  const { t } = useTexts('jobs');
  const { party, server, since } = absent;
  return (
    <>
      <strong>{party}</strong>{' '}
      {t(party === ENCLAVE ? 'jobs:absent.enclave' : 'jobs:absent.agent')}
      {since ? (
        <>
          {t('jobs:absent.since')} <Moment at={since} />
        </>
      ) : null}
      {t('jobs:absent.stop')}{' '}
      {server ? t('jobs:absent.elsewhere', { server }) : null}
    </>
  );
}
