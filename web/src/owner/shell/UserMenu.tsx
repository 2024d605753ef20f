import { useNavigate } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { LanguageSwitch } from '../../shared/parts/LanguageSwitch';
import { prefix } from '../../shared/place';
import { prefer } from '../../shared/preferences';
import { PersonMenu } from '../../shared/shell/PersonMenu';
import { useDark } from '../../shared/theme';
import { http } from '../api';
import { useDeed } from '../deeds';

/** Who is logged in: the account, the other language and theme, and the way out. */
export function UserMenu({ name }: { name: string }) {
  const { t } = useTexts('owner');
  const go = useNavigate();
  const dark = useDark();
  const leave = useDeed(() => http.DELETE('/api/session'));
  const chosen = (key: string) => {
    if (key === 'account') void go('/account');
    if (key === 'theme') prefer({ theme: dark ? 'light' : 'dark' });
    // A whole load: nothing of this person stays in the tab.
    if (key === 'leave') {
      leave.mutate(undefined, { onSettled: () => window.location.assign(`${prefix()}/login`) });
    }
  };
  return (
    <>
      <LanguageSwitch />
      <PersonMenu
        who={name}
        label={t('owner:menu', { who: name })}
        chosen={chosen}
        items={[
          { key: 'account', label: t('owner:menu.account') },
          { key: 'theme', label: t(dark ? 'owner:menu.light' : 'owner:menu.dark') },
        ]}
        leave={t('owner:menu.leave')}
      />
    </>
  );
}
