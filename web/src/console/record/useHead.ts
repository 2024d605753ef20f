/** Asks for the head and the charter, and checks the one under the other. */
import { useQuery } from '@tanstack/react-query';
import { http, type Schemas } from '../../api/client';
import { asProblem } from '../../api/problem';
import type { Charter } from '../../verify/charter';
import { Signatures } from '../../verify/signatures';
import { charterIn, factsOfHead, type HeadFacts } from './head';

type Head = Schemas['Head'];
export const HEAD = ['get', '/api/v1/audit/head', 'checked'];

async function charter(): Promise<Charter | null> {
  try {
    const { data } = await http.GET('/api/v1/charter', { parseAs: 'text' });
    return charterIn(data!);
  } catch (error) {
    if (asProblem(error).code === 'not_found') return null;
    throw error;
  }
}

/** The head with what this browser found of it. */
export function useHead() {
  return useQuery({
    queryKey: HEAD,
    queryFn: async (): Promise<{ head: Head; facts: HeadFacts }> => {
      const [{ data }, named] = await Promise.all([http.GET('/api/v1/audit/head'), charter()]);
      const facts = await factsOfHead(data!.note, named, await Signatures.ready());
      return { head: data!, facts };
    },
  });
}
