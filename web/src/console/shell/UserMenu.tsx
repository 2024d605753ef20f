import { useNavigate } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';
import { prefer, usePreferences } from '../../shared/preferences';
import { PersonMenu } from '../../shared/shell/PersonMenu';
import { useMe } from '../session';

/** Who is logged in: settings, the other language, and the way out. */
export function UserMenu() {
  const { t } = useTexts('shell');
  const go = useNavigate();
  const me = useMe();
  const { language } = usePreferences();
  const leave = api.useMutation('delete', '/api/v1/session', {
    // A whole load: nothing of this person stays in the tab.
    onSettled: () => window.location.assign(`${prefix()}/login`),
  });
  const who = me.data?.display || me.data?.name || '';
  const chosen = (key: string) => {
    if (key === 'settings') void go('/settings');
    if (key === 'language') prefer({ language: language === 'zh' ? 'en' : 'zh' });
    if (key === 'leave') leave.mutate({});
  };
  return (
    <PersonMenu
      who={who}
      label={t('shell:menu', { who })}
      chosen={chosen}
      items={[
        { key: 'who', label: `${who} · ${me.data?.organisation ?? ''}`, disabled: true },
        { key: 'settings', label: t('shell:menu.settings') },
        { key: 'language', label: t('shell:menu.language') },
      ]}
      leave={t('shell:menu.leave')}
    />
  );
}
