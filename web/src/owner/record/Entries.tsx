import { Tag } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import type { Schemas } from '../api';
import parts from '../parts/parts.module.css';

/** What the agent and its people did, in words, the newest first. */
export function Entries({ entries }: { entries: readonly Schemas['LogEntry'][] }) {
  const { t } = useTexts('owner');
  return (
    <ul className={parts['lines']}>
      {entries.map((one) => (
        <li key={one.id}>
          <div className={parts['line']}>
            <span>
              {one.warns ? <Tag color="warning">{t('owner:warns')}</Tag> : null}
              {one.told}
            </span>
            <Moment at={one.at} />
          </div>
          <p className={parts['quiet']}>
            {one.who || t('owner:agent')}
            {one.note ? ` · ${one.note}` : null}
            {one.request ? (
              <>
                {' · '}
                <Link to={`/inbox/${one.request}`}>{t('owner:to.request')}</Link>
              </>
            ) : null}
            {one.grant ? (
              <>
                {' · '}
                <Link to={`/grants/${one.grant}`}>{t('owner:to.grant')}</Link>
              </>
            ) : null}
            {one.job ? (
              <>
                {' · '}
                <code>{one.job}</code>
              </>
            ) : null}
          </p>
        </li>
      ))}
    </ul>
  );
}
