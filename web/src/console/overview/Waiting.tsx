import { useQueryClient } from '@tanstack/react-query';
import { Button, Tag } from 'antd';
import { Link } from 'react-router';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { useProjects, type Project } from '../project';
import { useMe } from '../session';
import { stale } from '../shell/stream';
import { JobLine } from './JobLine';
import { useJobs, type JobSummary } from './jobs';
import css from './Overview.module.css';
import { Panel } from './Panel';

type Notice = Schemas['NotificationShown'];

/** The projects that an organisation is invited to and has not answered. */
export function invitations(projects: readonly Project[], organisation: string): Project[] {
  return projects.filter(
    (one) =>
      !one.closed &&
      one.members.some((m) => m.organisation === organisation && m.state === 'invited'),
  );
}

/** What waits for me: invitations, unread messages, jobs that are not approved yet. */
export function Waiting() {
  const { t } = useTexts('overview');
  const me = useMe();
  const projects = useProjects();
  const proposed = useJobs('proposed');
  const notices = api.useQuery('get', '/api/v1/notifications', {
    params: { query: { unread: true, limit: 8 } },
  });
  const invited = invitations(projects.data?.items ?? [], me.data?.organisation ?? '');
  const jobs = proposed.data?.items ?? [];
  const news = notices.data?.items ?? [];
  const asked = [projects, proposed, notices];
  const failed = asked.find((one) => one.isError && one.data === undefined);
  if (failed) {
    return (
      <Panel title={t('overview:waiting')}>
        <Failed error={failed.error} retry={() => void failed.refetch()} />
      </Panel>
    );
  }
  const nothing = !invited.length && !jobs.length && !news.length;
  return (
    <Panel title={t('overview:waiting')}>
      {nothing && asked.some((one) => one.isPending) ? <Loading /> : null}
      {nothing && !asked.some((one) => one.isPending) ? (
        <Empty title={t('overview:waiting.none')} />
      ) : null}
      <ul className={css['lines']}>
        {invited.map((project) => (
          <Invitation key={project.id} project={project} />
        ))}
        {news.map((notice) => (
          <NoticeLine key={notice.id} notice={notice} />
        ))}
        {jobs.map((job) => (
          <Proposed key={job.id} job={job} />
        ))}
      </ul>
    </Panel>
  );
}

function Invitation({ project }: { project: Project }) {
  const { t } = useTexts('overview');
  return (
    <li>
      <div className={css['line']}>
        <Link to={`/projects/${project.id}`}>
          {t('overview:waiting.invited', { name: project.name, by: project.organisation })}
        </Link>
        <Tag color="warning">{t('overview:waiting.answer')}</Tag>
      </div>
      <p className={css['quiet']}>{project.purpose}</p>
    </li>
  );
}

const SEVERITIES: Record<Notice['severity'], string> = {
  info: 'default',
  warning: 'warning',
  critical: 'error',
};

function NoticeLine({ notice }: { notice: Notice }) {
  const { t } = useTexts('overview');
  const queries = useQueryClient();
  const read = api.useMutation('post', '/api/v1/notifications/{key}/read', {
    onSuccess: () => stale(queries, '/api/v1/notifications', '/api/v1/notifications/unread'),
  });
  return (
    <li>
      <div className={css['line']}>
        <span>
          <Tag color={SEVERITIES[notice.severity]}>{t(`words:severity.${notice.severity}`)}</Tag>
          <Link to={notice.link || '/'}>{notice.text}</Link>
        </span>
        <Moment at={notice.at} />
      </div>
      <Button
        size="small"
        type="link"
        loading={read.isPending}
        onClick={() => read.mutate({ params: { path: { key: notice.id } } })}
      >
        {t('overview:waiting.read')}
      </Button>
    </li>
  );
}

/** A job that owners have not approved: who is waited for stands in the job itself. */
function Proposed({ job }: { job: JobSummary }) {
  const { t } = useTexts('overview');
  return (
    <JobLine job={job}>
      <p className={css['quiet']}>{t('overview:waiting.proposed')}</p>
    </JobLine>
  );
}
