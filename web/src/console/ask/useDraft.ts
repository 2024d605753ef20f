/** What the centre says of a request before it is submitted, asked when typing pauses. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { http, type Schemas } from '../../api/client';

export type Checked = Schemas['Checked'];
const PAUSE = 400;

/** A value as it was when it last stood still for a moment. */
function useSettled(value: string): string {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), PAUSE);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Checks a request; `current` says whether the answer is of the request as it is now. */
export function useDraft(request: object | null) {
  const text = request ? JSON.stringify(request) : '';
  const settled = useSettled(text);
  const query = useQuery({
    queryKey: ['post', '/api/v1/jobs/check-draft', settled],
    queryFn: async (): Promise<Checked> => {
      const body = JSON.parse(settled) as Record<string, unknown>;
      return (await http.POST('/api/v1/jobs/check-draft', { body })).data!;
    },
    enabled: settled !== '',
  });
  return { ...query, current: settled === text && settled !== '' };
}
