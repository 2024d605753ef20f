import { http } from '../../api/client';
import { LoginForm as Shared } from '../../shared/login/LoginForm';
import type { Account } from '../session';

type Props = { onDone: (who: Account) => void; name?: string };

/** The login of the centre. */
export function LoginForm(props: Props) {
  return (
    <Shared
      enter={async (given) =>
        (await http.POST('/api/v1/session', { body: { ...given, refresh: false } })).data!
      }
      {...props}
    />
  );
}
