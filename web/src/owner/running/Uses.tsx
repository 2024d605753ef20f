import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import type { Schemas } from '../api';
import parts from '../parts/parts.module.css';

/** Jobs that use data of this organisation, in short. */
export function Uses({ uses }: { uses: readonly Schemas['UseRow'][] }) {
  const { t } = useTexts('owner');
  if (!uses.length) return <p>{t('owner:uses.none')}</p>;
  return (
    <ul className={parts['lines']}>
      {uses.map((one) => (
        <li key={`${one.job} ${one.dataset}`}>
          <div className={parts['line']}>
            <span>{one.purpose || one.job}</span>
            <Moment at={one.at} />
          </div>
          <p className={parts['quiet']}>
            <Link to={`/data/${encodeURIComponent(one.dataset)}`}>{one.dataset}</Link> ·{' '}
            {one.requester} · <code>{one.job}</code>
          </p>
        </li>
      ))}
    </ul>
  );
}
