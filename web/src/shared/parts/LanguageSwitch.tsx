import { Button } from 'antd';
import { prefer, usePreferences } from '../preferences';

const OTHERS = { en: ['zh', '中文', 'zh-CN'], zh: ['en', 'English', 'en'] } as const;

/** Offers the other language, in its own words. */
export function LanguageSwitch() {
  const { language } = usePreferences();
  const [other, name, tag] = OTHERS[language];
  return (
    <Button type="text" lang={tag} onClick={() => prefer({ language: other })}>
      {name}
    </Button>
  );
}
