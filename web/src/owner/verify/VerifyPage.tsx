import { Alert, Flex } from 'antd';
import { useState } from 'react';
import { VerdictView } from '../../shared/verdict/VerdictView';
import { told } from '../../shared/verdict/told';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { Refusal } from '../../verify/told';
import { Section } from '../parts/Section';
import { Choice } from './Choice';
import { OwnJobs } from './OwnJobs';
import { Unfit, type Own } from './own';
import { useOwnCharter, useVerdict } from './useOwn';
import css from '../../shared/verdict/Drop.module.css';

const LIMITS = ['words', 'job', 'truth', 'outside', 'machine'] as const;

/** Verifies the record of a job in this browser, under the charter that this agent pinned. */
export default function VerifyPage() {
  const { t } = useTexts('verifier');
  const [file, choose] = useState<File | null>(null);
  const [turn, next] = useState(0);
  const [spec, setSpec] = useState('');
  const charter = useOwnCharter();
  const take = (given: File | null) => {
    choose(given);
    next((count) => count + 1);
  };
  return (
    <PageFrame title={t('verifier:title')} lead={t('verifier:lead')}>
      <Flex vertical gap="middle">
        <Section title={t('verifier:charter')}>
          <Answer query={charter}>{(own) => <Words own={own} />}</Answer>
        </Section>
        <Choice file={file} take={take} spec={setSpec} />
        <Verdict file={file} turn={turn} spec={spec} />
        <OwnJobs />
        <Section title={t('verifier:limits')}>
          <ul>
            {LIMITS.map((one) => (
              <li key={one}>{t(`verifier:limit.${one}`)}</li>
            ))}
          </ul>
        </Section>
      </Flex>
    </PageFrame>
  );
}

function Words({ own }: { own: Own }) {
  const { t } = useTexts('verifier');
  const { language } = usePreferences();
  if (!own.pinned) {
    return (
      <Alert
        type="warning"
        showIcon
        title={t('verifier:charter.none')}
        description={t('verifier:charter.none.hint')}
      />
    );
  }
  return (
    <>
      <p className={css['words']} lang="en" data-testid="fingerprint">
        {language === 'zh' ? own.digits : own.words}
      </p>
      <p>{t('verifier:charter.hint')}</p>
    </>
  );
}

function Verdict({ file, turn, spec }: { file: File | null; turn: number; spec: string }) {
  const { t } = useTexts('verifier', 'record');
  const query = useVerdict(file, turn, spec);
  return (
    <div aria-live="polite">
      {file && query.isPending && !query.isError ? <Loading what={t('verifier:working')} /> : null}
      {query.isError ? <Wrong error={query.error} /> : null}
      {query.data ? (
        <Flex vertical gap="middle">
          <p>
            {t('verifier:job', { job: query.data.job || '?' })} ·{' '}
            {t('verifier:kept', { count: query.data.kept })}
          </p>
          <VerdictView verdict={query.data.verdict} />
        </Flex>
      ) : null}
    </div>
  );
}

function Wrong({ error }: { error: Error }) {
  const { t } = useTexts('verifier');
  const { language } = usePreferences();
  if (error instanceof Unfit) {
    return <Alert type="error" showIcon title={t(`verifier:wrong.${error.what}`)} />;
  }
  if (error instanceof Refusal) {
    return <Alert type="error" showIcon title={told(error.told, language)} />;
  }
  return <Failed error={error} />;
}
