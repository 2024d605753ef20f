/** Asks for what members say they anchored; the head afterwards, so that it is not the older one. */
import { useQuery } from '@tanstack/react-query';
import { http } from '../../api/client';
import { hex } from '../../verify/bytes';
import { parseNote } from '../../verify/notes';
import { saidOf, type Head, type Said } from './anchors';

const PAGE = 200;
/** Pages that are looked at: more than the newest thousand are left to `secureflow anchor`. */
const MOST_PAGES = 5;

type Wanted = { kind?: string; job?: string };

async function statements(
  wanted: Wanted,
  pages = MOST_PAGES,
): Promise<{ said: Said[]; more: boolean }> {
  const said: Said[] = [];
  let cursor = '';
  for (let page = 0; page < pages; page += 1) {
    const query = { ...wanted, limit: PAGE, cursor };
    const { data } = await http.GET('/api/v1/anchors', { params: { query } });
    said.push(...data!.items.map(saidOf));
    cursor = data!.next ?? '';
    if (!cursor) break;
  }
  return { said, more: cursor !== '' };
}

async function headNow(): Promise<Head | null> {
  const { data } = await http.GET('/api/v1/audit/head');
  const { origin, size, root } = parseNote(data!.note).checkpoint;
  return { origin, size: Number(size), root: hex(root) };
}

/** The newest statements about heads and about all else, and the head that the centre shows now. */
export function useAnchoredHeads() {
  return useQuery({
    queryKey: ['get', '/api/v1/anchors', 'heads'],
    queryFn: async () => {
      const [heads, all] = await Promise.all([statements({ kind: 'anchor' }), statements({}, 1)]);
      const said = [...heads.said, ...all.said.filter((one) => one.kind !== 'anchor')];
      return { said, more: heads.more, head: await headNow() };
    },
  });
}

/** What members say they anchored about a job. */
export function useJobAnchors(job: string) {
  return useQuery({
    queryKey: ['get', '/api/v1/anchors', 'job', job],
    queryFn: () => statements({ job }),
  });
}
