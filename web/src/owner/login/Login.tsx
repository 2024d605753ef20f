import { useQueryClient } from '@tanstack/react-query';
import { Alert, Card } from 'antd';
import { useEffect } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { LanguageSwitch } from '../../shared/parts/LanguageSwitch';
import { Answer } from '../../shared/states/Answer';
import { wayBack } from '../../shared/ways';
import { adopt, useAnswersInOwnLanguage, useSession, type Session } from '../session';
import css from '../../shared/login/Login.module.css';
import own from './Login.module.css';
import { LoginForm } from './LoginForm';
import { Providers } from './Providers';

const FIRST = 'secureflow agent people add NAME --role owner-admin';

/** The way in: by password, or at the organisation's own identity provider. */
export default function Login() {
  const { t } = useTexts('login', 'owner');
  const go = useNavigate();
  const queries = useQueryClient();
  const [search] = useSearchParams();
  const session = useSession();
  const back = wayBack(search.get('back'));
  useAnswersInOwnLanguage();
  useEffect(() => {
    document.title = `${t('login:title')} · SecureFlow`;
  }, [t]);
  const entered = (now: Session) => {
    queries.clear();
    adopt(queries, now);
    void go(back, { replace: true });
  };
  return (
    <main className={`${css['place']} ${own['own']}`}>
      <Card className={css['card']}>
        <Answer query={session}>
          {({ organisation, accounts, providers }) => (
            <>
              <h1 className={css['title']}>{t('owner:own', { organisation })}</h1>
              <p className={css['lead']}>{t('owner:login.lead')}</p>
              {accounts ? (
                <>
                  <LoginForm onDone={entered} />
                  <Providers providers={providers} back={back} />
                </>
              ) : (
                <Alert
                  type="info"
                  showIcon
                  title={t('owner:login.nobody')}
                  description={
                    <>
                      <p>{t('owner:login.nobody.hint')}</p>
                      <code>{FIRST}</code>
                    </>
                  }
                />
              )}
            </>
          )}
        </Answer>
      </Card>
      <LanguageSwitch />
    </main>
  );
}
