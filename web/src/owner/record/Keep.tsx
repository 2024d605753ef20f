import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { stillIn } from '../session';

/** Has the browser save a file of the agent, once it is certain that it will be given one. */
export function Keep({ file }: { file: string }) {
  const { t } = useTexts('owner');
  const queries = useQueryClient();
  const keep = useMutation({
    mutationFn: async () => {
      if (await stillIn(queries)) save(file);
    },
  });
  return (
    <>
      <Button loading={keep.isPending} onClick={() => keep.mutate()}>
        {t('owner:record.keep')}
      </Button>
      {keep.isError ? <Failed error={keep.error} /> : null}
    </>
  );
}

function save(file: string): void {
  const link = document.createElement('a');
  link.href = file;
  link.download = '';
  link.click();
}
