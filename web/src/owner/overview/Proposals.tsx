import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import type { Schemas } from '../api';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';

/** Grants that somebody proposed at the centre and nobody here has confirmed. */
export function Proposals({ proposals }: { proposals: readonly Schemas['GrantRow'][] }) {
  const { t } = useTexts('owner');
  if (!proposals.length) return null;
  return (
    <Section
      title={t('owner:proposals')}
      extra={<Link to="/grants">{t('owner:all')}</Link>}
    >
      <ul className={parts['lines']}>
        {proposals.map((one) => (
          <li key={one.id}>
            <Link to={`/grants/${one.id}/confirm`}>
              {t('owner:proposal', { dataset: one.dataset, project: one.project })}
            </Link>
            {one.by ? (
              <p className={parts['quiet']}>{t('owner:proposal.by', { by: one.by })}</p>
            ) : null}
          </li>
        ))}
      </ul>
    </Section>
  );
}
