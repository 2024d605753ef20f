import { App, Button, Dropdown, Space } from 'antd';
import { useNavigate } from 'react-router';
import { http } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';
import { usePreferences } from '../../shared/preferences';
import { useDeed } from '../settings/deeds';
import type { Job } from './useJob';
import { usePrinted } from './usePrinted';
import { over } from './words';

const CHANGED = ['/api/v1/jobs/{key}', '/api/v1/jobs'];

/** What one does with a job: stop it, go on with it, run it again, take its proof along. */
export function JobDeeds({ job }: { job: Job }) {
  const { t } = useTexts('jobs');
  const { language } = usePreferences();
  const { modal, message } = App.useApp();
  const navigate = useNavigate();
  const path = { params: { path: { key: job.id } } };
  const cancel = useDeed(() => http.POST('/api/v1/jobs/{key}/cancel', path), ...CHANGED);
  const resume = useDeed(() => http.POST('/api/v1/jobs/{key}/resume', path), ...CHANGED);
  const print = usePrinted(job.id);
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
  const address = `${prefix()}/api/v1/jobs/${encodeURIComponent(job.id)}`;
  const files = [
    { key: 'bundle', label: t('jobs:file.bundle'), href: `${address}/bundle` },
    ...(job.state === 'succeeded'
      ? [
          {
            key: 'html',
            label: t('jobs:file.html'),
            href: `${address}/report?format=html&lang=${language}`,
          },
          { key: 'json', label: t('jobs:file.json'), href: `${address}/report?format=json&lang=en` },
        ]
      : []),
  ];
  const prints =
    job.state === 'succeeded'
      ? (['zh', 'en'] as const).map((lang) => ({
          key: `pdf-${lang}`,
          label: t(`jobs:file.pdf.${lang}`),
          onClick: () => void print(lang),
        }))
      : [];
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
      <Dropdown
        trigger={['click']}
        menu={{
          items: [
            ...files.map(({ key, label, href }) => ({
              key,
              label: (
                <a href={href} download>
                  {label}
                </a>
              ),
            })),
            ...prints,
            { key: 'print', label: t('jobs:print'), onClick: () => window.print() },
          ],
        }}
      >
        <Button>{t('jobs:files')}</Button>
      </Dropdown>
    </Space>
  );
}
