/** What this agent holds, asked for as text: the verifier reads it as strictly as a file. */
import { useQuery } from '@tanstack/react-query';
import { http } from '../api';
import type { Json } from '../../verify/json';
import { jobOf, judged, ownCharter, ownLeaves, readBundle } from './own';

/** The charter that people here pinned. */
export function useOwnCharter() {
  return useQuery({
    queryKey: ['get', '/api/charter'],
    queryFn: async () => {
      const { data } = await http.GET('/api/charter', { parseAs: 'text' });
      return ownCharter(data as string);
    },
  });
}

/** The entries that this organisation signed in a job; null for none. */
export async function heldOf(job: string): Promise<Json[] | null> {
  if (!job) return null;
  const params = { path: { job } };
  const { data } = await http.GET('/api/jobs/{job}/leaves', { params, parseAs: 'text' });
  return ownLeaves(data as string);
}

/** The verdict on a file, under what this agent holds. */
export function useVerdict(file: File | null, turn: number, spec: string) {
  const charter = useOwnCharter();
  const own = charter.data;
  return useQuery({
    queryKey: ['verdict', turn, spec, own?.words],
    enabled: Boolean(file && own),
    gcTime: 0,
    staleTime: Infinity,
    queryFn: async () => {
      const bundle = await readBundle(file!);
      const job = jobOf(bundle);
      const held = await heldOf(job);
      return { job, kept: held?.length ?? 0, verdict: await judged(bundle, own!, held, spec) };
    },
  });
}
