import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import type { Schemas } from '../api';
import { ShareBar } from '../parts/ShareBar';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';

/** What is left of every privacy budget: the smallest share first. */
export function Budgets({ budgets }: { budgets: readonly Schemas['BudgetView'][] }) {
  const { t } = useTexts('owner');
  return (
    <Section title={t('owner:budgets')} extra={<Link to="/budgets">{t('owner:all')}</Link>}>
      {budgets.length ? (
        <ul className={parts['lines']}>
          {budgets.map((one) => (
            <li key={one.domain}>
              <Link to={`/budgets/${encodeURIComponent(one.domain)}`}>{one.domain}</Link>
              <ShareBar share={one.share} />
              {one.locked ? <p className={parts['bad']}>{t('owner:locked')}</p> : null}
            </li>
          ))}
        </ul>
      ) : (
        <p>{t('owner:budgets.none')}</p>
      )}
    </Section>
  );
}
