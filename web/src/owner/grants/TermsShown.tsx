import { useTexts } from '../../shared/i18n';
import { useNow } from '../../shared/parts/Moment';
import { moment, relative } from '../../shared/format';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { useHoldingWords } from '../data/words';
import { Facts } from '../parts/Facts';

/** Every field that a grant names, and what it means where it names nothing. */
export function TermsShown({ grant }: { grant: Schemas['GrantRow'] }) {
  const { t } = useTexts('holdings');
  const words = useHoldingWords();
  const { language, zone } = usePreferences();
  const now = useNow();
  const expires = `${moment(grant.expires, language, zone)} (${relative(grant.expires, now, language)})`;
  return (
    <Facts
      facts={[
        ...grant.terms.map((one) => ({
          label: words.term(one.name),
          value: one.values.length ? one.values.map((value) => words.granted(one.name, value)).join(', ') : words.otherwise(one.otherwise),
        })),
        { label: t('holdings:expires'), value: grant.expires ? expires : '' },
      ]}
    />
  );
}
