import { useTexts } from '../../shared/i18n';
import css from './Learns.module.css';

export type Row = { who: string; sees: string; why: string; steps?: readonly string[] };

/** Who learns what, and why; of a job of several steps, at which. */
export function Learns({ rows }: { rows: readonly Row[] }) {
  const { t } = useTexts('canvas');
  if (!rows.length) return <p className={css['why']}>{t('canvas:learns.none')}</p>;
  return (
    <dl className={css['learns']} aria-label={t('canvas:learns')}>
      {rows.map((one) => (
        <div key={`${one.who} ${one.sees} ${one.steps?.join(' ') ?? ''}`}>
          <dt>
            {one.who}
            {one.steps?.length ? <span className={css['why']}> · {one.steps.join(', ')}</span> : null}
          </dt>
          <dd>
            {one.sees}
            {one.why ? <span className={css['why']}> ({one.why})</span> : null}
          </dd>
        </div>
      ))}
    </dl>
  );
}
