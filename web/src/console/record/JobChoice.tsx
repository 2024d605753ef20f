import { useMutation } from '@tanstack/react-query';
import { Select } from 'antd';
import { useState } from 'react';
import { api, http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';

/** Fetches a job's bundle from the centre: it need not be believed, for it is verified here. */
export function JobChoice({ take }: { take: (file: File) => void }) {
  const { t } = useTexts('record');
  const [text, search] = useState('');
  const query = { text, newest: true, limit: 20 };
  const found = api.useQuery('get', '/api/v1/jobs', { params: { query } });
  const fetched = useMutation({
    mutationFn: async (job: string) => {
      const asked = { params: { query: { job } }, parseAs: 'text' } as const;
      const { data } = await http.GET('/api/v1/audit/bundle', asked);
      take(new File([data!], `${job}.bundle.json`, { type: 'application/json' }));
    },
  });
  return (
    <div>
      <Select
        showSearch={{ filterOption: false, onSearch: search }}
        aria-label={t('record:verify.job')}
        placeholder={t('record:verify.job')}
        style={{ width: 320, maxWidth: '100%' }}
        loading={found.isFetching || fetched.isPending}
        onSelect={(job: string) => fetched.mutate(job)}
        options={(found.data?.items ?? []).map((one) => ({
          value: one.id,
          label: `${one.name} (${one.id})`,
        }))}
      />
      {fetched.error ? <Failed error={fetched.error} /> : null}
    </div>
  );
}
