import { useQueryClient } from '@tanstack/react-query';
import { asProblem } from '../../api/problem';
import { PasswordForm } from '../../shared/account/PasswordForm';
import { useTexts } from '../../shared/i18n';
import { http } from '../api';
import { forgetSession } from '../session';

/** Changes the password; every session ends with that, this one too. */
export function NewPassword() {
  const { t } = useTexts('ownpeople');
  const queries = useQueryClient();
  const change = async (old: string, chosen: string) => {
    try {
      await http.POST('/api/account/password', { body: { old, new: chosen } });
    } catch (error) {
      if (asProblem(error).code === 'form_refused') forgetSession(queries);
      throw error;
    }
  };
  return (
    <PasswordForm
      lead={t('ownpeople:password.lead')}
      change={change}
      onDone={() => forgetSession(queries)}
    />
  );
}
