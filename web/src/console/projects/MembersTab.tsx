import { useQueryClient } from '@tanstack/react-query';
import { Button, Flex, Select, Space, Tag } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Failed } from '../../shared/states/Failed';
import { LinkState } from '../organisations/LinkState';
import type { Project } from '../project';
import { useMe } from '../session';
import { founds, membershipOf } from './state';

type Membership = Schemas['Membership'];
const COLOURS = { invited: 'warning', active: 'success', left: 'default' } as const;

/** The organisations in a project: invited, taking part, gone. */
export function MembersTab({ project }: { project: Project }) {
  const { t } = useTexts('projects', 'organisations');
  const me = useMe().data;
  const mine = membershipOf(project, me?.organisation ?? '')?.state;
  const may = founds(me, project) || (me?.organisation === project.organisation && plans(me));
  return (
    <Flex vertical gap="middle">
      {may && !project.closed ? <Invite project={project} /> : null}
      <WideTable<Membership>
        size="small"
        pagination={false}
        rowKey={(one) => one.organisation}
        dataSource={project.members}
        columns={[
          {
            title: t('projects:organisation'),
            key: 'organisation',
            render: (_, one) => (
              <Link to={`/organisations/${encodeURIComponent(one.organisation)}`}>
                {one.organisation}
              </Link>
            ),
          },
          {
            title: t('projects:state'),
            key: 'state',
            render: (_, one) => (
              <Tag color={COLOURS[one.state]}>{t(`projects:member.${one.state}`)}</Tag>
            ),
          },
          {
            title: t('projects:agent'),
            key: 'agent',
            render: (_, one) => (
              <LinkState
                organisation={one.organisation}
                shares={one.state === 'active' && mine === 'active'}
              />
            ),
          },
          {
            title: t('projects:since'),
            key: 'since',
            render: (_, one) => <Moment at={one.since} />,
          },
        ]}
      />
    </Flex>
  );
}

function plans(me: { roles: string[] }): boolean {
  return me.roles.includes('data-scientist') || me.roles.includes('organisation-admin');
}

/** Invites an organisation that does not take part yet. */
function Invite({ project }: { project: Project }) {
  const { t } = useTexts('projects');
  const queries = useQueryClient();
  const [chosen, choose] = useState<string | undefined>();
  const all = api.useQuery('get', '/api/v1/organisations', { params: { query: { limit: 200 } } });
  const invite = api.useMutation('post', '/api/v1/projects/{key}/members', {
    onSuccess: () => {
      choose(undefined);
      void queries.invalidateQueries({ queryKey: ['get', '/api/v1/projects/{key}'] });
      void queries.invalidateQueries({ queryKey: ['get', '/api/v1/projects'] });
    },
  });
  const left = (all.data?.items ?? []).filter((one) => {
    const state = membershipOf(project, one.id)?.state;
    return !one.disabled && (state === undefined || state === 'left');
  });
  const send = () => {
    if (!chosen) return;
    invite.mutate({ params: { path: { key: project.id } }, body: { organisation: chosen } });
  };
  return (
    <Flex vertical gap="small">
      <Space wrap>
        <Select
          showSearch
          aria-label={t('projects:invite.who')}
          placeholder={t('projects:invite.who')}
          style={{ minWidth: 260 }}
          value={chosen}
          onChange={choose}
          loading={all.isPending}
          optionFilterProp="label"
          options={left.map((one) => ({ value: one.id, label: `${one.name} (${one.id})` }))}
          notFoundContent={t('projects:invite.nobody')}
        />
        <Button type="primary" disabled={!chosen} loading={invite.isPending} onClick={send}>
          {t('projects:invite')}
        </Button>
      </Space>
      {invite.isError ? <Failed error={invite.error} /> : null}
    </Flex>
  );
}
