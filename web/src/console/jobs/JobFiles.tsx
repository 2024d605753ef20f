import { Button, Dropdown } from 'antd';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';
import { usePreferences } from '../../shared/preferences';
import type { Job } from './useJob';
import { type Printed, usePrinted } from './usePrinted';

/** What one takes along of a job: its proof, and what is told of it. A report comes with the end. */
export function JobFiles({ job }: { job: Job }) {
  const { t } = useTexts('jobs');
  const { language } = usePreferences();
  const print = usePrinted(job.id);
  const address = `${prefix()}/api/v1/jobs/${encodeURIComponent(job.id)}`;
  const page = `format=html&lang=${language}`;
  const reported = job.state === 'succeeded';
  const files = [
    { key: 'bundle', label: t('jobs:file.bundle'), href: `${address}/bundle` },
    ...(reported
      ? [
          { key: 'html', label: t('jobs:file.html'), href: `${address}/report?${page}` },
          { key: 'json', label: t('jobs:file.json'), href: `${address}/report?format=json&lang=en` },
        ]
      : []),
    { key: 'explained', label: t('jobs:file.explained'), href: `${address}/explain?${page}` },
  ];
  const printed: Printed[] = reported ? ['report', 'explanation'] : ['explanation'];
  const prints = printed.flatMap((what) =>
    (['zh', 'en'] as const).map((lang) => ({
      key: `${what}-${lang}`,
      label: t(`jobs:file.pdf.${what}.${lang}`),
      onClick: () => void print(what, lang),
    })),
  );
  return (
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
  );
}
