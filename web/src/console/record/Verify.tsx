import { useQuery } from '@tanstack/react-query';
import { Alert, Button, Card, Flex, Typography } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { PageFrame } from '../../shared/parts/PageFrame';
import { usePreferences } from '../../shared/preferences';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { Refusal } from '../../verify/told';
import { JobChoice } from './JobChoice';
import css from '../../shared/verdict/Drop.module.css';
import { Drop, FileField, SpecField } from '../../shared/verdict/Drop';
import { told } from '../../shared/verdict/told';
import { VerdictView } from '../../shared/verdict/VerdictView';
import { compared, INPUTS, kindOf, Unreadable, verified, type InputFile } from './verifying';

type Files = { readonly [name in InputFile]?: File };
const LIMITS = ['page', 'charter', 'job', 'truth', 'outside'] as const;

/** Verifies the record of a job in this browser, under a charter that the reader brings. */
export default function Verify() {
  const { t } = useTexts('record');
  const [files, choose] = useState<Files>({});
  const [spec, setSpec] = useState('');
  const [foreign, refuse] = useState<string[]>([]);
  const [turn, next] = useState(0);
  const take = (name: InputFile, file: File | undefined) => {
    choose((before) => ({ ...before, [name]: file }));
    next((count) => count + 1);
  };
  const dropped = async (given: readonly File[]) => {
    const kinds = await Promise.all(given.map(kindOf));
    given.forEach((file, at) => {
      const kind = kinds[at];
      if (kind) take(kind, file);
    });
    refuse(given.filter((_, at) => !kinds[at]).map((file) => file.name));
  };
  const query = useQuery({
    queryKey: ['verified', turn, spec],
    queryFn: () => verified(files, spec),
    gcTime: 0,
    staleTime: Infinity,
  });
  return (
    <PageFrame title={t('record:verify.title')} lead={t('record:verify.lead')}>
      <Flex vertical gap="middle">
        <Alert
          type="warning"
          showIcon
          title={t('record:verify.claim')}
          description={
            <>
              <p>{t('record:verify.claim.hint')}</p>
              <Id value="secureflow audit page verify.html" />
            </>
          }
        />
        <Choice files={files} take={take} dropped={(given) => void dropped(given)} spec={setSpec} />
        {foreign.length ? (
          <Alert type="error" showIcon title={t('record:verify.foreign', { names: foreign.join(', ') })} />
        ) : null}
        <div aria-live="polite">
          {query.isPending ? <Loading what={t('record:verify.working')} /> : null}
          {query.error ? <Wrong error={query.error} /> : null}
          {query.data ? <Result told={query.data} charter={!!files.charter} /> : null}
        </div>
        <Card size="small" title={t('record:limits')}>
          <ul>
            {LIMITS.map((one) => (
              <li key={one}>{t(`record:limit.${one}`)}</li>
            ))}
          </ul>
        </Card>
      </Flex>
    </PageFrame>
  );
}

type ChoiceProps = {
  files: Files;
  take: (name: InputFile, file: File | undefined) => void;
  dropped: (files: readonly File[]) => void;
  spec: (digest: string) => void;
};

function Choice({ files, take, dropped, spec }: ChoiceProps) {
  const { t } = useTexts('record');
  return (
    <Drop label={t('record:verify.inputs')} hint={t('record:verify.drop')} dropped={dropped}>
      <Flex vertical gap="middle">
        {INPUTS.map((name) => (
          <Flex key={name} wrap gap="small" align="end">
            <FileField
              id={`verify-${name}`}
              label={t(`record:input.${name}`)}
              chosen={(file) => take(name, file)}
            />
            {files[name] ? <Typography.Text code>{files[name].name}</Typography.Text> : null}
            {files[name] ? (
              <Button size="small" onClick={() => take(name, undefined)}>
                {t('record:verify.remove', { name: files[name].name })}
              </Button>
            ) : null}
            {name === 'bundle' ? <JobChoice take={(file) => take('bundle', file)} /> : null}
          </Flex>
        ))}
        <SpecField id="verify-spec" label={t('record:input.spec')} said={spec} />
      </Flex>
    </Drop>
  );
}

type ResultProps = { told: Awaited<ReturnType<typeof verified>>; charter: boolean };

function Result({ told: found, charter }: ResultProps) {
  const { t } = useTexts('record');
  const { language } = usePreferences();
  return (
    <Flex vertical gap="middle">
      {found.fingerprint ? (
        <Card size="small" title={t('record:fingerprint')}>
          <p className={css['words']} lang="en" data-testid="fingerprint">
            {compared(found.fingerprint, language)}
          </p>
          <p>{t('record:fingerprint.hint')}</p>
        </Card>
      ) : null}
      {found.verdict ? (
        <VerdictView verdict={found.verdict} />
      ) : (
        <p>{t(charter ? 'record:verify.nobundle' : 'record:verify.nothing')}</p>
      )}
    </Flex>
  );
}

function Wrong({ error }: { error: Error }) {
  const { t } = useTexts('record');
  const { language } = usePreferences();
  if (error instanceof Unreadable) {
    return <Alert type="error" showIcon title={t(`record:wrong.${error.key}`)} />;
  }
  if (error instanceof Refusal) {
    return <Alert type="error" showIcon title={told(error.told, language)} />;
  }
  return <Failed error={error} />;
}
