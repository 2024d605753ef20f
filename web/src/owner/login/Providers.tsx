import { Button, Divider } from 'antd';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import css from '../../shared/login/Login.module.css';

type Props = { providers: readonly Schemas['Provider'][]; back: string };

/** Identity providers of the organisation that people may log in at; nothing where there are none. */
export function Providers({ providers, back }: Props) {
  const { t } = useTexts('login');
  const start = useDeed(async (provider: string) => {
    const params = { path: { provider } };
    const body = { back: `${prefix()}${back}` };
    return (await http.POST('/api/providers/{provider}/start', { params, body })).data!;
  });
  if (!providers.length) return null;
  return (
    <>
      <Divider plain>{t('login:or')}</Divider>
      {start.isError ? <Failed error={start.error} /> : null}
      <ul className={css['providers']}>
        {providers.map((one) => (
          <li key={one.name}>
            <Button
              block
              loading={start.isPending && start.variables === one.name}
              onClick={() =>
                start.mutate(one.name, { onSuccess: ({ url }) => window.location.assign(url) })
              }
            >
              {t('login:at', { title: one.title })}
            </Button>
          </li>
        ))}
      </ul>
    </>
  );
}
