import { Alert, Button, Flex } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { once } from './terms';
import { TermsShown } from './TermsShown';

type Props = { review: Schemas['Review']; proposal?: string; change?: () => void };
const STALE = ['/api/grants', '/api/datasets', '/api/datasets/{name}', '/api/overview'];

/** The second step: exactly the terms that are shown are signed, once however often it is sent. */
export function Review({ review, proposal = '', change }: Props) {
  const { t } = useTexts('holdings');
  const go = useNavigate();
  const decider = useMay('decider');
  const [form] = useState(once);
  const sign = useDeed(async () => {
    const body = { terms: review.terms, once: form, proposal };
    return (await http.POST('/api/grants', { body })).data!;
  }, ...STALE);
  const signed = (made: Schemas['GrantRow']) => void go(`/grants/${made.id}`, { replace: true });
  return (
    <Section title={t('holdings:review')}>
      <TermsShown grant={review.shown} />
      {review.shown.by ? <p>{t('holdings:proposed.by', { by: review.shown.by })}</p> : null}
      <Alert type="info" showIcon title={t('holdings:review.hint')} />
      {sign.isError ? <Failed error={sign.error} /> : null}
      <Flex gap="small" style={{ marginTop: 12 }}>
        {decider ? (
          <Button
            type="primary"
            loading={sign.isPending}
            onClick={() => sign.mutate(undefined, { onSuccess: signed })}
          >
            {t('holdings:sign')}
          </Button>
        ) : (
          <p>{t('holdings:role')}</p>
        )}
        {change ? <Button onClick={change}>{t('holdings:change')}</Button> : null}
      </Flex>
    </Section>
  );
}
