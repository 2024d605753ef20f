import { useQueryClient } from '@tanstack/react-query';
import { Card } from 'antd';
import { useEffect } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { LanguageSwitch } from '../../shared/parts/LanguageSwitch';
import { wayBack } from '../session';
import css from '../../shared/login/Login.module.css';
import { LoginForm } from './LoginForm';
import { Providers } from './Providers';

/** The way in: by password, or at an identity provider. */
export default function Login() {
  const { t } = useTexts('login');
  const go = useNavigate();
  const queries = useQueryClient();
  const [search] = useSearchParams();
  const back = wayBack(search.get('back'));
  useEffect(() => {
    document.title = `${t('login:title')} · SecureFlow`;
  }, [t]);
  const entered = () => {
    queries.clear();
    void go(back, { replace: true });
  };
  return (
    <main className={css['place']}>
      <Card className={css['card']}>
        <h1 className={css['title']}>{t('common:product')}</h1>
        <p className={css['lead']}>{t('login:lead')}</p>
        <LoginForm onDone={entered} />
        <Providers back={back} />
      </Card>
      <LanguageSwitch />
    </main>
  );
}
