import { http, type Schemas } from '../../api/client';
import { EnrolFactor } from '../../shared/account/EnrolFactor';
import { useDeed } from './deeds';

type Props = { begun: Schemas['Enrolment']; onCodes: (codes: readonly string[]) => void };

/** A second factor that was begun, to be confirmed. */
export function Enrolling({ begun, onCodes }: Props) {
  const confirm = useDeed(
    (code: string) => http.POST('/api/v1/me/second-factor/confirm', { body: { code } }),
    '/api/v1/me/second-factor',
  );
  const prove = async (code: string) => (await confirm.mutateAsync(code)).data?.recovery ?? [];
  return <EnrolFactor address={begun.uri} secret={begun.secret} prove={prove} onCodes={onCodes} />;
}
