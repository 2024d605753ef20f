import { Alert } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api } from '../api';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { Absence } from './Absence';
import { Deputies } from './Deputies';
import { NewPassword } from './NewPassword';
import { SecondFactor } from './SecondFactor';

/** The own account: password, second factor, absence, and who decides in one's place. */
export default function AccountPage() {
  const { t } = useTexts('ownpeople');
  const query = api.useQuery('get', '/api/account');
  const decider = useMay('decider');
  return (
    <PageFrame title={t('ownpeople:account')}>
      <Answer query={query}>
        {({ account, given, others }) => (
          <>
            {account.initial_password ? (
              <Alert
                type="warning"
                showIcon
                title={t('ownpeople:initial')}
                description={t('ownpeople:initial.hint')}
              />
            ) : null}
            <Section title={t('ownpeople:who')}>
              <Facts
                facts={[
                  { label: t('ownpeople:name'), value: account.row.name },
                  { label: t('ownpeople:pseudonym'), value: <Id value={account.row.id} /> },
                  {
                    label: t('ownpeople:roles'),
                    value: account.row.roles.map((one) => t(`ownpeople:role.${one}`)).join(', '),
                  },
                  { label: t('ownpeople:sessions'), value: String(account.row.sessions) },
                ]}
              />
            </Section>
            {account.method === 'password' ? (
              <>
                <Section title={t('ownpeople:password')}>
                  <NewPassword />
                </Section>
                <Section title={t('ownpeople:factor')}>
                  <SecondFactor enrolled={account.row.second_factor} />
                </Section>
              </>
            ) : (
              <Alert type="info" showIcon title={t('ownpeople:elsewhere')} />
            )}
            <Section title={t('ownpeople:absence')}>
              <Absence absent={account.row.absent} />
            </Section>
            {decider ? (
              <Section title={t('ownpeople:deputies')}>
                <Deputies given={given} others={others} />
              </Section>
            ) : null}
          </>
        )}
      </Answer>
    </PageFrame>
  );
}
