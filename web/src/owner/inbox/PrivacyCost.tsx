import { useTexts } from '../../shared/i18n';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { Bar } from '../parts/Bar';
import { partsOf } from '../parts/bar';
import { epsilon } from '../parts/figures';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';

type Props = { privacy: Schemas['PrivacyAsked']; sentence: string };

/** What the job costs of the privacy budget: ε before and after, as a bar and in figures. */
export function PrivacyCost({ privacy, sentence }: Props) {
  const { t } = useTexts('inbox');
  const { language } = usePreferences();
  const { before, after, limit } = privacy;
  const there = before !== null && after !== null && limit !== null;
  const facts = {
    before: epsilon(before, language),
    after: epsilon(after, language),
    limit: epsilon(limit, language),
  };
  const over = there && partsOf(before, after - before, limit).over;
  return (
    <Section title={t('inbox:privacy')}>
      {sentence ? <p className={parts['text']}>{sentence}</p> : null}
      {there ? (
        <>
          <Bar
            first={before}
            second={after - before}
            limit={limit}
            label={t('inbox:privacy.course', facts)}
          />
          <p className={parts['quiet']}>
            {t('inbox:privacy.course', facts)}{' '}
            {over ? <strong className={parts['bad']}>{t('inbox:privacy.over')}</strong> : null}
          </p>
        </>
      ) : null}
    </Section>
  );
}
