import { http } from '../../api/client';
import { PasswordForm } from '../../shared/account/PasswordForm';
import { useTexts } from '../../shared/i18n';

/** Changes the password; all other sessions end with that. */
export function Password() {
  const { t } = useTexts('settings');
  const change = (old: string, chosen: string) =>
    http.POST('/api/v1/me/password', { body: { old, new: chosen } });
  return <PasswordForm lead={t('settings:password.lead')} change={change} />;
}
