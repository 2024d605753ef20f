import { Alert, Button } from 'antd';
import { useState } from 'react';
import { api, http, type Schemas } from '../../api/client';
import { CodeForm } from '../../shared/account/CodeForm';
import { RecoveryCodes } from '../../shared/account/RecoveryCodes';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from './deeds';
import { Enrolling } from './Enrolling';

type Factor = Schemas['FactorShown'];
const PATH = '/api/v1/me/second-factor';

/** The second factor of the account: adding one, and taking it away. */
export function SecondFactor() {
  const { t } = useTexts('settings');
  const [codes, setCodes] = useState<readonly string[]>([]);
  const factor = api.useQuery('get', PATH);
  return (
    <Answer query={factor}>
      {(shown) => (
        <>
          <p>{t('settings:factor.lead')}</p>
          {shown.required && !shown.enrolled ? (
            <Alert type="warning" showIcon title={t('settings:factor.required')} />
          ) : null}
          {codes.length ? <RecoveryCodes codes={codes} onKept={() => setCodes([])} /> : null}
          {shown.enrolled ? <Enrolled factor={shown} /> : <Adding onCodes={setCodes} />}
        </>
      )}
    </Answer>
  );
}

function Adding({ onCodes }: { onCodes: (codes: readonly string[]) => void }) {
  const { t } = useTexts('settings');
  const begin = useDeed(() => http.POST(PATH));
  const begun = begin.data?.data;
  if (begun) return <Enrolling begun={begun} onCodes={onCodes} />;
  return (
    <>
      {begin.isError ? <Failed error={begin.error} /> : null}
      <Button type="primary" loading={begin.isPending} onClick={() => begin.mutate(undefined)}>
        {t('settings:factor.add')}
      </Button>
    </>
  );
}

function Enrolled({ factor }: { factor: Factor }) {
  const { t } = useTexts('settings');
  const remove = useDeed(
    (code: string) => http.POST(`${PATH}/remove`, { body: { code, password: '' } }),
    PATH,
  );
  return (
    <>
      <p>
        {t('settings:factor.since')} <Moment at={factor.since} />
        {' · '}
        {t('settings:factor.left', { count: factor.recovery_left })}
      </p>
      <CodeForm
        name="remove"
        label={t('settings:factor.remove')}
        danger
        deed={remove}
        send={(code) => remove.mutate(code)}
      />
    </>
  );
}
