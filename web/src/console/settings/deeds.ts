/** A deed on one's own account, which may take a recent proof of identity. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { withProof } from '../proof';
import { stale } from '../../api/queries';

/** Does a deed, with a proof where one is wanted; then what it changed is asked for again. */
export function useDeed<Given, Answered>(
  deed: (given: Given) => Promise<Answered>,
  ...changed: string[]
) {
  const queries = useQueryClient();
  return useMutation<Answered, unknown, Given>({
    mutationFn: (given: Given) => withProof(() => deed(given)),
    onSuccess: () => stale(queries, ...changed),
  });
}
