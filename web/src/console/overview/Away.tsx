import { DisconnectOutlined } from '@ant-design/icons';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import type { Absence } from './overview';

/** Whose agents a job waits for because they have no link, a line for each. */
export function Away({ absent, more = 0 }: { absent: readonly Absence[]; more?: number }) {
  const { t } = useTexts('overview');
  return (
    <>
      {absent.map(({ party, since }) => (
        <p key={party}>
          <DisconnectOutlined /> {t('overview:away', { party })}{' '}
          {since ? (
            <>
              {t('overview:away.since')} <Moment at={since} />
            </>
          ) : null}
        </p>
      ))}
      {more ? <p>{t('overview:away.more', { count: more })}</p> : null}
    </>
  );
}
