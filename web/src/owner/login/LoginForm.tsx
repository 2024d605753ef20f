import { LoginForm as Shared } from '../../shared/login/LoginForm';
import { http } from '../api';
import type { Session } from '../session';

type Props = { onDone: (session: Session) => void; name?: string };

/** The login of this organisation's own agent. */
export function LoginForm(props: Props) {
  return (
    <Shared enter={async (body) => (await http.POST('/api/session', { body })).data!} {...props} />
  );
}
