/**
 * Texts: one catalogue for each area and language, loaded when a page of that area is.
 *
 * A key is always written whole, `area:name`, so that it can be found: `t('jobs:list.title')`.
 */
import { useMemo } from 'react';
import i18next, { type BackendModule } from 'i18next';
import { initReactI18next, useTranslation } from 'react-i18next';
import { preferences, watchPreferences } from './preferences';

const catalogues = import.meta.glob<Record<string, string>>('./texts/*/*.json', {
  import: 'default',
});

const backend: BackendModule = {
  type: 'backend',
  init: () => undefined,
  read: (language, area, done) => {
    const load = catalogues[`./texts/${language}/${area}.json`];
    if (!load) return done(new Error(`no texts for ${area}`), null);
    load().then(
      (texts) => done(null, texts),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error)), null),
    );
  },
};

/** Areas that every page uses. */
export const EVERYWHERE = ['common', 'words'];

function declare(): void {
  document.documentElement.lang = preferences().language === 'zh' ? 'zh-CN' : 'en';
}

/** Loads the texts of the language that is preferred, and follows its changes. */
export async function startTexts(): Promise<void> {
  declare();
  await i18next
    .use(backend)
    .use(initReactI18next)
    .init({
      lng: preferences().language,
      fallbackLng: false,
      ns: EVERYWHERE,
      defaultNS: 'common',
      keySeparator: false,
      interpolation: { escapeValue: false },
      react: { useSuspense: true },
    });
  watchPreferences(() => {
    const { language } = preferences();
    if (i18next.language === language) return;
    declare();
    void i18next.changeLanguage(language);
  });
}

export type Say = (key: string, facts?: Record<string, unknown>) => string;

/** The texts of some areas, beside those that every page uses. */
export function useTexts(...areas: string[]): { t: Say; has: (key: string) => boolean } {
  const { t, i18n } = useTranslation([...areas, ...EVERYWHERE]);
  // The same object until the language changes: effects depend on it.
  return useMemo(
    () => ({ t: (key, facts) => t(key, facts ?? {}), has: (key) => i18n.exists(key) }),
    [t, i18n],
  );
}
