/** The catalogue, which changes with the version of the centre alone. */
import { api } from '../../api/client';
import type { Catalogue } from './catalogue';

/** Asks for it once in the life of a page. */
export function useCatalogue() {
  const query = api.useQuery('get', '/api/v1/components', {}, { staleTime: Infinity, gcTime: Infinity });
  return { ...query, data: query.data as unknown as Catalogue | undefined };
}
