import { Alert, Button } from 'antd';
import { useState } from 'react';
import { Link, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api, http, type Schemas } from '../api';
import { Code } from './Code';
import { Deciding, type Done } from './Deciding';
import { Happened } from './Happened';
import { Known } from './Known';
import { Leaving } from './Leaving';
import { PrivacyCost } from './PrivacyCost';
import { Questions } from './Questions';
import css from './Request.module.css';
import { RequestState } from './RequestState';
import { useShown } from './shown';
import { Summary } from './Summary';
import { headOf } from './titles';
import { Which, Who } from './Who';
import { useRequestWords } from './words';

type Decision = Schemas['Decision'];
const PATH = '/api/inbox/{item}';

/** One request with everything that a person decides on, and the decision. */
export default function RequestPage() {
  const { item = '' } = useParams();
  const [page, turn] = useState(1);
  const given = { params: { path: { item }, query: { page } } };
  // The page before stays until the next is there: nothing that is being typed is lost.
  const query = api.useQuery('get', PATH, given, { placeholderData: (before) => before });
  return (
    <Answer query={query}>
      {(now) => <Request key={now.summary.id} now={now} turn={turn} refetch={() => query.refetch()} />}
    </Answer>
  );
}

type Props = { now: Decision; turn: (page: number) => void; refetch: () => Promise<unknown> };

function Request({ now, turn, refetch }: Props) {
  const { t } = useTexts('inbox');
  const { shown, changed, readAnew } = useShown(now);
  const [done, setDone] = useState<Done | null>(null);
  const [settling, settle] = useState(false);
  const words = useRequestWords();
  const { summary, request } = shown;
  const purpose = request?.purpose || summary.purpose;
  const fresh = async () => {
    const params = { path: { item: summary.id } };
    readAnew((await http.GET(PATH, { params })).data);
    await refetch();
  };
  // What came of it is told beside what became of the request, and nothing is decided in between.
  const decided = (what: Done) => {
    settle(true);
    const told = () => {
      setDone(what);
      settle(false);
    };
    fresh().then(told, told);
  };
  return (
    <PageFrame
      title={headOf(summary, words.kind(summary.kind))}
      lead={
        <>
          {purpose ? <span className={css['purpose']}>{purpose}</span> : null}
          {t('inbox:request.of', { submitter: summary.submitter })} · <Moment at={summary.at} />
          {summary.job ? <Id value={summary.job} /> : null} ·{' '}
          <RequestState state={summary.state} />
          {shown.decided ? <Moment at={shown.decided} /> : null}
          {summary.reason ? ` · ${summary.reason}` : null}
        </>
      }
      extra={<Link to="/inbox">{t('inbox:back')}</Link>}
    >
      <div aria-live="polite" className={css['news']}>
        {done ? <Happened done={done} /> : null}
        {!done && shown.mine ? <Alert type="success" showIcon title={t('inbox:mine')} /> : null}
        {changed && !settling ? (
          <Alert
            type="warning"
            showIcon
            title={t('inbox:changed')}
            description={t('inbox:changed.hint')}
            action={<Button onClick={() => readAnew()}>{t('inbox:changed.show')}</Button>}
          />
        ) : null}
      </div>
      <div className={css['page']}>
        <div className={css['read']}>
          {request ? (
            <>
              <Who request={request} />
              <Which request={request} />
              <Leaving request={request} />
              <PrivacyCost privacy={request.privacy} sentence={request.sentences.privacy} />
              {request.code ? <Code code={request.code} turn={turn} /> : null}
              <Known request={request} />
              <Questions questions={request.questions} />
            </>
          ) : (
            <Alert type="info" showIcon title={t('inbox:summary')} />
          )}
          <Summary decision={shown} />
        </div>
        <Deciding
          decision={shown}
          changed={changed || settling}
          done={decided}
          fresh={async () => void (await refetch())}
        />
      </div>
    </PageFrame>
  );
}
