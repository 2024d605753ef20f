import { useQueryClient } from '@tanstack/react-query';
import { http } from '../../api/client';
import { PasswordForm } from '../../shared/account/PasswordForm';
import { useTexts } from '../../shared/i18n';

/** Changes the password; all other sessions end with that, and no page says any more that others know it. */
export function Password() {
  const { t } = useTexts('settings');
  const queries = useQueryClient();
  const change = async (old: string, chosen: string) => {
    await http.POST('/api/v1/me/password', { body: { old, new: chosen } });
    void queries.invalidateQueries({ queryKey: ['get', '/api/v1/me'] });
  };
  return <PasswordForm lead={t('settings:password.lead')} change={change} />;
}
