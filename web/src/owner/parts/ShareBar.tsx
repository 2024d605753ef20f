import { useTexts } from '../../shared/i18n';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { Bar } from './Bar';
import { epsilon } from './figures';
import parts from './parts.module.css';

/** How much of a limit is spent and reserved, and what is left: as a bar and in figures. */
export function ShareBar({ share }: { share: Schemas['Share'] }) {
  const { t } = useTexts('owner');
  const { language } = usePreferences();
  const { spent, reserved, left, limit } = share;
  const facts = {
    spent: epsilon(spent, language),
    reserved: epsilon(reserved, language),
    left: epsilon(left, language),
    limit: epsilon(limit, language),
  };
  const said = t(limit === null ? 'owner:share.unlimited' : 'owner:share', facts);
  return (
    <>
      <Bar first={spent} second={reserved} limit={limit} label={said} />
      <p className={parts['quiet']}>
        {said}{' '}
        {share.exhausted ? <strong className={parts['bad']}>{t('owner:share.over')}</strong> : null}
      </p>
    </>
  );
}
