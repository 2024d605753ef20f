import { Button, Divider } from 'antd';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';
import css from '../../shared/login/Login.module.css';

/** Identity providers that people may log in at; nothing where there are none. */
export function Providers({ back }: { back: string }) {
  const { t } = useTexts('login');
  const known = api.useQuery('get', '/api/v1/oidc');
  const providers = known.data?.items ?? [];
  if (!providers.length) return null;
  const next = encodeURIComponent(prefix() + back);
  return (
    <>
      <Divider plain>{t('login:or')}</Divider>
      <ul className={css['providers']}>
        {providers.map((one) => (
          <li key={one.name}>
            <Button block href={`${prefix()}${one.start}?next=${next}`}>
              {t('login:at', { title: one.title })}
            </Button>
          </li>
        ))}
      </ul>
    </>
  );
}
