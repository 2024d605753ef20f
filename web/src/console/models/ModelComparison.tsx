import { useQueries } from '@tanstack/react-query';
import { Link } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Comparison, useCompared, type Line } from '../../shared/parts/Comparison';
import { usePreferences } from '../../shared/preferences';
import { members, metricsOf, namesOf, shownMetric, text, texts, type Card } from './card';

/** What a line of the comparison says of each model. */
function line(key: string, label: string, values: string[]): Line {
  return { key, label, values, strong: new Set(values).size > 1 };
}

/** Models beside each other: what they are, how they were made, and what they reached. */
export default function ModelComparison() {
  const { t, has } = useTexts('models');
  const { language } = usePreferences();
  const ids = useCompared();
  const answers = useQueries({
    queries: ids.map((key) =>
      api.queryOptions('get', '/api/v1/models/{key}/card', { params: { path: { key } } }),
    ),
  });
  const cards = answers.flatMap((one) => (one.data ? [one.data as Card] : []));
  const told = (area: string, name: string) =>
    has(`words:${area}.${name}`) ? t(`words:${area}.${name}`) : name;
  const lines = [
    line(
      'family',
      t('models:family'),
      cards.map((one) => told('family', text(one['family']))),
    ),
    line(
      'owners',
      t('models:owners'),
      cards.map((one) => texts(one['contributors']).join(', ')),
    ),
    line(
      'protection',
      t('models:protection'),
      cards.map((one) => told('protection', text(one['protection']))),
    ),
    line(
      'privacy',
      t('models:epsilon'),
      cards.map((one) => {
        const epsilon = members(one['privacy'])['epsilon'];
        return typeof epsilon === 'number' ? epsilon.toPrecision(4) : t('models:privacy.none');
      }),
    ),
    line(
      'rounds',
      t('models:rounds'),
      cards.map((one) => String(one['rounds'] ?? '')),
    ),
    ...namesOf(cards).map((name) =>
      line(
        `metric.${name}`,
        told('metric', name),
        cards.map((one) => {
          const metric = metricsOf(one).find((each) => each.name === name);
          return metric ? shownMetric(metric, language) : '';
        }),
      ),
    ),
  ];
  return (
    <Comparison
      title={t('models:comparison')}
      lead={t('models:comparison.lead')}
      few={{
        title: t('models:comparison.few'),
        action: <Link to="/models">{t('models:title')}</Link>,
      }}
      ids={ids}
      answers={answers}
      things={cards.map((card) => ({
        key: text(card['id']),
        title: (
          <Link to={`/models/${encodeURIComponent(text(card['id']))}`}>
            {text(card['name'])} @{String(card['version'])}
          </Link>
        ),
      }))}
      lines={lines}
    />
  );
}
