import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import type { Schemas } from '../api';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';

/** Which request it is: ids that people compare are whole. */
export function Summary({ decision }: { decision: Schemas['Decision'] }) {
  const { t } = useTexts('inbox');
  const { summary, digest } = decision;
  return (
    <Section title={t('inbox:ids')}>
      <Facts
        facts={[
          { label: t('inbox:ids.request'), value: <Id value={summary.id} /> },
          { label: t('inbox:ids.digest'), value: digest ? <Id value={digest} /> : '' },
          { label: t('inbox:job'), value: summary.job ? <Id value={summary.job} /> : '' },
        ]}
      />
    </Section>
  );
}
