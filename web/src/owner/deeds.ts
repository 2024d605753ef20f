/** Something that a person does here: once it is done, what it changed is asked for again. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { asProblem } from '../api/problem';
import { useForgottenOnReturn } from './back';
import { forgetSession } from './session';
import { stale } from '../api/queries';

/** Does a deed; `changed` are paths of the API of which nothing that is known counts any more. */
export function useDeed<Given, Answered>(
  deed: (given: Given) => Promise<Answered>,
  ...changed: string[]
) {
  const queries = useQueryClient();
  const made = useMutation<Answered, unknown, Given>({
    mutationFn: deed,
    onSuccess: () => stale(queries, ...changed),
    onError: (error) => {
      // Another tab logged in anew: this one asks who is logged in now, before anything is done.
      if (asProblem(error).code === 'form_refused') forgetSession(queries);
    },
  });
  useForgottenOnReturn(made.error, made.reset);
  return made;
}
