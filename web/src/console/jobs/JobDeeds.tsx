import { App, Button, Space } from 'antd';
import { useNavigate } from 'react-router';
import { http } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { useDeed } from '../settings/deeds';
import { JobFiles } from './JobFiles';
import type { Job } from './useJob';
import { over } from './words';

const CHANGED = ['/api/v1/jobs/{key}', '/api/v1/jobs'];

/** What one does with a job: stop it, go on with it, run it again, take its proof along. */
export function JobDeeds({ job }: { job: Job }) {
  const { t } = useTexts('jobs');
  const { modal, message } = App.useApp();
  const navigate = useNavigate();
  const path = { params: { path: { key: job.id } } };
  const cancel = useDeed(() => http.POST('/api/v1/jobs/{key}/cancel', path), ...CHANGED);
  const resume = useDeed(() => http.POST('/api/v1/jobs/{key}/resume', path), ...CHANGED);
  const failed = (error: unknown) => {
    const { message: said, hint } = asProblem(error);
    message.error([said, hint].filter(Boolean).join(' '));
  };
  const ask = () =>
    modal.confirm({
      title: t('jobs:cancel.ask', { name: job.name }),
      content: t('jobs:cancel.hint'),
      okText: t('jobs:cancel'),
      okButtonProps: { danger: true },
      cancelText: t('jobs:keep'),
      onOk: () => cancel.mutateAsync(undefined).catch(failed),
    });
  return (
    <Space wrap>
      {job.state === 'paused' ? (
        <Button
          type="primary"
          loading={resume.isPending}
          onClick={() => void resume.mutateAsync(undefined).catch(failed)}
        >
          {t('jobs:resume')}
        </Button>
      ) : null}
      {over(job.state) ? null : (
        <Button danger onClick={ask} loading={cancel.isPending}>
          {t('jobs:cancel')}
        </Button>
      )}
      <Button onClick={() => void navigate(`/jobs/${encodeURIComponent(job.id)}/graph`)}>
        {t('jobs:graph')}
      </Button>
      <Button onClick={() => void navigate(`/jobs/new?from=${encodeURIComponent(job.id)}`)}>
        {t('jobs:again')}
      </Button>
      <JobFiles job={job} />
    </Space>
  );
}
