import { Link, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api } from '../api';
import { Review } from './Review';

/** A grant that somebody proposed at the centre: it counts once somebody here confirms it. */
export default function ConfirmPage() {
  const { t } = useTexts('holdings');
  const { grant = '' } = useParams();
  const query = api.useQuery(
    'get',
    '/api/grants/{grant}/review',
    { params: { path: { grant } } },
    { staleTime: Infinity }, // what is read is what is signed
  );
  return (
    <PageFrame
      title={t('holdings:confirm')}
      lead={t('holdings:confirm.lead')}
      extra={<Link to="/grants">{t('holdings:grants')}</Link>}
    >
      <Answer query={query}>{(review) => <Review review={review} proposal={grant} />}</Answer>
    </PageFrame>
  );
}
