import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import type { Schemas } from '../api';
import { Entries } from '../record/Entries';
import { Section } from '../parts/Section';

/** The last actions of people, and those that deserve attention. */
export function Last({ last }: { last: readonly Schemas['LogEntry'][] }) {
  const { t } = useTexts('owner');
  return (
    <Section title={t('owner:last')} extra={<Link to="/record">{t('owner:all')}</Link>}>
      {last.length ? <Entries entries={last} /> : <p>{t('owner:last.none')}</p>}
    </Section>
  );
}
