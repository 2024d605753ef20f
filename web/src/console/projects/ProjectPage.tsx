import { Alert, Card, Descriptions, Flex, Tabs } from 'antd';
import { useParams, useSearchParams } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import type { Project } from '../project';
import { RevenueTab } from '../revenue/RevenueTab';
import { useMe } from '../session';
import { ActivityTab } from './ActivityTab';
import { MembersTab } from './MembersTab';
import { PeopleTab } from './PeopleTab';
import { ProjectDeeds } from './ProjectDeeds';
import { ProjectState } from './ProjectState';
import { ReceivedTab } from './ReceivedTab';
import { membershipOf } from './state';

/** A project: who takes part, who does what in it, what each party received, what happened. */
export default function ProjectPage() {
  const { project: key = '' } = useParams();
  const { t } = useTexts('projects');
  const query = api.useQuery('get', '/api/v1/projects/{key}', { params: { path: { key } } });
  return (
    <PageFrame
      title={query.data?.name ?? t('projects:project')}
      lead={query.data?.purpose}
      extra={query.data ? <ProjectDeeds project={query.data} /> : null}
    >
      <Answer query={query}>
        {(project) => (
          <Flex vertical gap="middle">
            <Notices project={project} />
            <Facts project={project} />
            <Parts project={project} />
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

/** What stands in the way of work in the project, if anything does. */
function Notices({ project }: { project: Project }) {
  const { t } = useTexts('projects');
  const me = useMe().data;
  const own = me && membershipOf(project, me.organisation);
  return (
    <>
      {project.frozen ? (
        <Alert
          type="warning"
          showIcon
          title={t('projects:frozen.by', {
            who: project.frozen.organisation || t('projects:operator'),
          })}
          description={project.frozen.reason || t('projects:frozen.noreason')}
        />
      ) : null}
      {own?.state === 'invited' && !project.closed ? (
        <Alert
          type="info"
          showIcon
          title={t('projects:invited')}
          description={t('projects:invited.hint')}
        />
      ) : null}
    </>
  );
}

function Facts({ project }: { project: Project }) {
  const { t } = useTexts('projects');
  const { rules } = project;
  const listed = (names: string[] | undefined) =>
    names?.length ? names.join(', ') : t('projects:rules.any');
  return (
    <Card size="small">
      <Descriptions
        size="small"
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'id', label: t('projects:id'), children: <Id value={project.id} /> },
          {
            key: 'state',
            label: t('projects:state'),
            children: <ProjectState project={project} />,
          },
          { key: 'founder', label: t('projects:founder'), children: project.organisation },
          {
            key: 'created',
            label: t('projects:created'),
            children: <Moment at={project.created} />,
          },
          {
            key: 'ends',
            label: t('projects:ends'),
            children: project.ends ? <Moment at={project.ends} /> : t('projects:ends.never'),
          },
          {
            key: 'access',
            label: t('projects:access'),
            children: t(project.restricted ? 'projects:access.people' : 'projects:access.members'),
          },
          {
            key: 'kinds',
            label: t('projects:rules.kinds'),
            children: listed(rules?.kinds),
          },
          {
            key: 'epsilon',
            label: t('projects:rules.epsilon'),
            children: rules?.epsilon ?? t('projects:rules.any'),
          },
          ...(project.description
            ? [
                {
                  key: 'description',
                  label: t('projects:description'),
                  span: 'filled' as const,
                  children: project.description,
                },
              ]
            : []),
        ]}
      />
    </Card>
  );
}

function Parts({ project }: { project: Project }) {
  const { t } = useTexts('projects');
  const [search, go] = useSearchParams();
  const parts = [
    { key: 'members', label: t('projects:members'), children: <MembersTab project={project} /> },
    { key: 'people', label: t('projects:people'), children: <PeopleTab project={project} /> },
    { key: 'received', label: t('projects:received'), children: <ReceivedTab project={project} /> },
    { key: 'revenue', label: t('projects:revenue'), children: <RevenueTab project={project} /> },
    { key: 'activity', label: t('projects:activity'), children: <ActivityTab project={project} /> },
  ];
  const asked = search.get('part');
  const shown = parts.some((one) => one.key === asked) ? (asked ?? 'members') : 'members';
  return (
    <Tabs
      activeKey={shown}
      onChange={(part) => go({ part }, { replace: true })}
      items={parts}
      destroyOnHidden
    />
  );
}
