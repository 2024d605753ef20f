import { Button, Flex, Tag, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { Empty } from '../../shared/states/Empty';
import { useMe, type Account } from '../session';
import { NewPerson } from './NewPerson';
import { changes } from './roles';

/** The accounts that the caller may see. */
export function People() {
  const { t } = useTexts('administration');
  const me = useMe().data;
  const [adding, add] = useState(false);
  const columns: TableColumnsType<Account> = [
    {
      title: t('administration:display'),
      key: 'display',
      render: (_, one) => (
        <Link to={`/administration/people/${encodeURIComponent(one.id)}`}>
          {one.display || one.name || one.id}
        </Link>
      ),
    },
    { title: t('administration:login'), key: 'name', render: (_, one) => one.name },
    {
      title: t('administration:organisation'),
      key: 'organisation',
      render: (_, one) => one.organisation || t('administration:operator'),
    },
    {
      title: t('administration:roles'),
      key: 'roles',
      render: (_, one) => one.roles.map((role) => t(`administration:role.${role}`)).join(', '),
    },
    {
      title: t('administration:state'),
      key: 'state',
      render: (_, one) => <PersonState person={one} />,
    },
    {
      title: t('administration:created'),
      key: 'created',
      render: (_, one) => <Moment at={one.created} />,
    },
  ];
  return (
    <Flex vertical gap="middle">
      {changes(me, me?.organisation ?? '') ? (
        <div>
          <Button type="primary" onClick={() => add(true)}>
            {t('administration:new')}
          </Button>
        </div>
      ) : null}
      <PagedTable<Account>
        label={t('administration:people')}
        queryKey={['get', '/api/v1/users', 'paged']}
        load={async (cursor) =>
          (await http.GET('/api/v1/users', { params: { query: { cursor } } })).data!
        }
        columns={columns}
        rowKey={(one) => one.id}
        empty={<Empty title={t('administration:people.none')} />}
      />
      <NewPerson open={adding} close={() => add(false)} />
    </Flex>
  );
}

/** Whether an account may log in. */
export function PersonState({ person }: { person: Account }) {
  const { t } = useTexts('administration');
  if (person.erased) return <Tag>{t('administration:erased')}</Tag>;
  if (person.disabled) return <Tag color="error">{t('administration:disabled')}</Tag>;
  return <Tag color="success">{t('administration:active')}</Tag>;
}
