import { Alert, Tag } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import type { Schemas } from '../api';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import css from './Request.module.css';
import { useRequestWords } from './words';

type Props = { request: Schemas['RequestView'] };

/** Who asks, and for what; names are those that the centre tells. */
export function Who({ request }: Props) {
  const { t } = useTexts('inbox');
  const words = useRequestWords();
  const { sentences } = request;
  return (
    <Section title={t('inbox:who')}>
      <Facts
        facts={[
          { label: t('inbox:who.asks'), value: request.submitter },
          { label: t('inbox:who.told'), value: t('inbox:who.told.hint') },
          {
            label: t('inbox:project'),
            value: request.project ? <Id value={request.project} /> : '',
          },
          { label: t('inbox:purpose'), value: request.purpose },
          { label: t('inbox:kind'), value: words.kind(request.kind) },
          { label: t('inbox:task'), value: request.task },
          { label: t('inbox:starts'), value: sentences.starts },
          { label: t('inbox:runs'), value: sentences.runs, warns: true },
          { label: t('inbox:parties'), value: sentences.parties || request.parties.join(', ') },
        ]}
      />
    </Section>
  );
}

/** Which data of this organisation: every column, the sensitive ones first. */
export function Which({ request }: Props) {
  const { t } = useTexts('inbox');
  const { dataset, key, columns, differing_bounds: bounds } = request.data;
  if (!dataset) {
    return (
      <Section title={t('inbox:which.data')}>
        <p>{t('inbox:data.none')}</p>
      </Section>
    );
  }
  return (
    <Section title={t('inbox:which.data')}>
      {bounds.length ? (
        <Alert
          type="error"
          showIcon
          title={t('inbox:bounds', { columns: bounds.join(', ') })}
        />
      ) : null}
      <Facts
        facts={[
          { label: t('inbox:dataset'), value: dataset },
          { label: t('inbox:key'), value: key },
          {
            label: t('inbox:columns.count', { count: columns.length }),
            value: (
              <ul className={css['columns']}>
                {columns.map((one) => (
                  <li key={one.name}>
                    <Tag color={one.sensitive ? 'error' : 'default'}>
                      {one.sensitive ? `${t('inbox:sensitive')} ` : null}
                      {one.name}
                    </Tag>
                  </li>
                ))}
              </ul>
            ),
          },
        ]}
      />
    </Section>
  );
}
