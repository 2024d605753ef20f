import { Tag } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import type { Schemas } from '../api';
import { titleOf } from '../inbox/titles';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';

type Props = { waiting: readonly Schemas['Waiting'][]; waits: number; overdue: number };

/** Requests that wait for people, the overdue ones first. */
export function Waiting({ waiting, waits, overdue }: Props) {
  const { t } = useTexts('owner');
  return (
    <Section
      title={t('owner:waiting', { count: waits })}
      extra={<Link to="/inbox">{t('owner:all')}</Link>}
    >
      {overdue ? <p className={parts['bad']}>{t('owner:overdue', { count: overdue })}</p> : null}
      {waiting.length ? (
        <ul className={parts['lines']}>
          {waiting.map((one) => (
            <li key={one.id}>
              <div className={parts['line']}>
                <Link to={`/inbox/${one.id}`}>{titleOf(one)}</Link>
                {one.overdue ? <Tag color="error">{t('owner:late')}</Tag> : null}
              </div>
              <p className={parts['quiet']}>
                {[one.submitter, one.dataset].filter(Boolean).join(' · ')}
                {' · '}
                <Moment at={one.at} />
                {one.approved_by ? ` · ${t('owner:approvals', { count: one.approved_by })}` : null}
              </p>
            </li>
          ))}
        </ul>
      ) : (
        <p>{t('owner:waiting.none')}</p>
      )}
    </Section>
  );
}
