import { LoadingOutlined } from '@ant-design/icons';
import { QueryClientProvider, type QueryClient } from '@tanstack/react-query';
import { App as AntApp, ConfigProvider } from 'antd';
import enGB from 'antd/locale/en_GB';
import zhCN from 'antd/locale/zh_CN';
import { StrictMode, Suspense, useEffect, type ReactNode } from 'react';
import { nonce } from './place';
import { usePreferences } from './preferences';
import { Loading } from './states/Loading';
import { themeOf, useDark } from './theme';
import './styles.css';

const LOCALES = { en: enGB, zh: zhCN };
/** The wheel of what waits goes at once: one that shrinks away stays if the answer comes too soon. */
const BUTTON = { autoInsertSpace: false, loadingIcon: <LoadingOutlined /> };

/** What every page of both entries stands in: theme, language, nonce, cache. */
export function Root({ queries, children }: { queries: QueryClient; children: ReactNode }) {
  const { language, density } = usePreferences();
  const dark = useDark();
  const policy = nonce();
  useEffect(() => {
    document.documentElement.dataset['theme'] = dark ? 'dark' : 'light';
  }, [dark]);
  return (
    <StrictMode>
      <ConfigProvider
        locale={LOCALES[language]}
        theme={themeOf(dark, density)}
        button={BUTTON}
        {...(policy ? { csp: { nonce: policy } } : {})}
      >
        <AntApp component="div" className="app">
          <QueryClientProvider client={queries}>
            <Suspense fallback={<Loading />}>{children}</Suspense>
          </QueryClientProvider>
        </AntApp>
      </ConfigProvider>
    </StrictMode>
  );
}
