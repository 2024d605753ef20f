import { useState } from 'react';
import { Link, useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api, http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { GrantForm } from './GrantForm';
import { Review } from './Review';
import { termsOf, type Filled } from './terms';

/** A grant in two steps: filling in the terms, and signing them as they are shown. */
export default function NewGrant() {
  const { t } = useTexts('holdings');
  const [search] = useSearchParams();
  const [review, setReview] = useState<Schemas['Review'] | null>(null);
  const [filled, setFilled] = useState<Partial<Filled>>({});
  const choices = api.useQuery('get', '/api/grant-choices');
  const datasets = api.useQuery('get', '/api/datasets');
  const ask = useDeed(async (form: Filled) => {
    const terms = termsOf(form, Date.now() / 1000);
    return (await http.POST('/api/grants/review', { body: { terms } })).data!;
  });
  const send = (form: Filled) => {
    setFilled(form);
    ask.mutate(form, { onSuccess: setReview });
  };
  return (
    <PageFrame
      title={t('holdings:grant.new')}
      lead={t('holdings:grant.new.lead')}
      extra={<Link to="/grants">{t('holdings:grants')}</Link>}
    >
      {review ? <Review review={review} change={() => setReview(null)} /> : null}
      <div hidden={review !== null}>
        <Answer query={choices}>
          {(offered) => (
            <Answer
              query={datasets}
              empty={{
                when: (one) => !one.datasets.length,
                show: <Empty title={t('holdings:data.none')} next={t('holdings:data.none.next')} />,
              }}
            >
              {(known) => (
                <GrantForm
                  choices={offered}
                  datasets={known.datasets.map((one) => one.name)}
                  initial={{ dataset: search.get('dataset') ?? undefined, ...filled }}
                  send={send}
                  pending={ask.isPending}
                  error={ask.isError ? ask.error : null}
                />
              )}
            </Answer>
          )}
        </Answer>
      </div>
    </PageFrame>
  );
}
