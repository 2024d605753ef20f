import { useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Flex, Popconfirm, Select, Space, Tag } from 'antd';
import { useState } from 'react';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import type { Project } from '../project';
import { useMe } from '../session';
import { leads } from './state';

type Person = Schemas['NamedPerson'];
type Role = Schemas['ProjectRole'];
const ROLES: readonly Role[] = ['lead', 'scientist', 'reviewer', 'auditor'];

/** Who may do what in a project, beside what their platform roles allow. */
export function PeopleTab({ project }: { project: Project }) {
  const { t } = useTexts('projects');
  const me = useMe().data;
  const queries = useQueryClient();
  const path = { key: project.id };
  const people = api.useQuery('get', '/api/v1/projects/{key}/people', { params: { path } });
  const fresh = () =>
    queries.invalidateQueries({ queryKey: ['get', '/api/v1/projects/{key}/people'] });
  const remove = api.useMutation('delete', '/api/v1/projects/{key}/people/{user}', {
    onSuccess: () => void fresh(),
  });
  const may = leads(me, project) && !project.closed;
  return (
    <Flex vertical gap="middle">
      <Alert type="info" title={t('projects:people.hint')} />
      {may ? <Name project={project} named={() => void fresh()} /> : null}
      {remove.isError ? <Failed error={remove.error} /> : null}
      <Answer query={people}>
        {(rows) => (
          <WideTable<Person>
            size="small"
            pagination={false}
            rowKey={(one) => one.user}
            dataSource={rows}
            locale={{ emptyText: t('projects:people.none') }}
            columns={[
              { title: t('projects:person'), key: 'name', render: (_, one) => one.name || one.user },
              { title: t('projects:organisation'), key: 'org', dataIndex: 'organisation' },
              {
                title: t('projects:roles'),
                key: 'roles',
                render: (_, one) =>
                  one.roles.map((role) => <Tag key={role}>{t(`projects:role.${role}`)}</Tag>),
              },
              {
                title: t('projects:since'),
                key: 'since',
                render: (_, one) => <Moment at={one.since} />,
              },
              {
                title: t('projects:deeds'),
                key: 'deeds',
                render: (_, one) =>
                  may && one.organisation === me?.organisation ? (
                    <Popconfirm
                      title={t('projects:people.remove.ask', { name: one.name || one.user })}
                      okText={t('projects:people.remove')}
                      cancelText={t('projects:cancel')}
                      onConfirm={() =>
                        remove.mutate({ params: { path: { ...path, user: one.user } } })
                      }
                    >
                      <Button type="link" danger size="small">
                        {t('projects:people.remove')}
                      </Button>
                    </Popconfirm>
                  ) : null,
              },
            ]}
          />
        )}
      </Answer>
    </Flex>
  );
}

/** Gives a person of the caller's organisation their roles in the project. */
function Name({ project, named }: { project: Project; named: () => void }) {
  const { t } = useTexts('projects');
  const me = useMe().data;
  const [user, choose] = useState<string | undefined>();
  const [roles, give] = useState<Role[]>(['scientist']);
  const users = api.useQuery(
    'get',
    '/api/v1/users',
    { params: { query: { limit: 200 } } },
    { enabled: me?.roles.includes('organisation-admin') ?? false },
  );
  const name = api.useMutation('post', '/api/v1/projects/{key}/people', {
    onSuccess: () => {
      choose(undefined);
      named();
    },
  });
  const send = () => {
    if (!user || !roles.length) return;
    name.mutate({ params: { path: { key: project.id } }, body: { user, roles } });
  };
  const own = (users.data?.items ?? []).filter((one) => one.organisation === me?.organisation);
  return (
    <Flex vertical gap="small">
      <Space wrap>
        <Select
          showSearch
          aria-label={t('projects:person')}
          placeholder={t('projects:people.who')}
          style={{ minWidth: 220 }}
          value={user}
          onChange={choose}
          optionFilterProp="label"
          options={own.map((one) => ({ value: one.id, label: `${one.display} (${one.name})` }))}
        />
        <Select<Role[]>
          mode="multiple"
          aria-label={t('projects:roles')}
          style={{ minWidth: 220 }}
          value={roles}
          onChange={give}
          options={ROLES.map((role) => ({ value: role, label: t(`projects:role.${role}`) }))}
        />
        <Button disabled={!user || !roles.length} loading={name.isPending} onClick={send}>
          {t('projects:people.give')}
        </Button>
      </Space>
      {name.isError ? <Failed error={name.error} /> : null}
    </Flex>
  );
}
