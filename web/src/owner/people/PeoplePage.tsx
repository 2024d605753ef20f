import { Button, Table, Tag, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api, type Schemas } from '../api';
import parts from '../parts/parts.module.css';
import { useMay } from '../session';
import { NewPerson } from './NewPerson';
import { usePeopleWords } from './words';

type Person = Schemas['PersonRow'];

/** The accounts of this agent: who may look, who decides, who administers. */
export default function PeoplePage() {
  const { t } = useTexts('ownpeople');
  const query = api.useQuery('get', '/api/people');
  const [adding, add] = useState(false);
  const admin = useMay('owner-admin');
  return (
    <PageFrame
      title={t('ownpeople:people')}
      lead={t('ownpeople:people.lead')}
      extra={
        admin ? (
          <Button type="primary" onClick={() => add(true)}>
            {t('ownpeople:new')}
          </Button>
        ) : null
      }
    >
      <Answer query={query}>{({ people }) => <People people={people} />}</Answer>
      <NewPerson open={adding} close={() => add(false)} />
    </PageFrame>
  );
}

function People({ people }: { people: readonly Person[] }) {
  const { t } = useTexts('ownpeople');
  const words = usePeopleWords();
  const columns: TableColumnsType<Person> = [
    {
      title: t('ownpeople:name'),
      key: 'name',
      render: (_, one) => (
        <>
          <Link to={`/people/${encodeURIComponent(one.name)}`}>{one.name}</Link>
          <p className={parts['quiet']}>{one.id}</p>
        </>
      ),
    },
    {
      title: t('ownpeople:roles'),
      key: 'roles',
      render: (_, one) => one.roles.map(words.role).join(', '),
    },
    {
      title: t('ownpeople:state'),
      key: 'state',
      render: (_, one) => (
        <>
          <Tag color={one.state === 'disabled' ? 'error' : 'default'}>{words.state(one.state)}</Tag>
          {one.absent ? (
            <p className={parts['quiet']}>
              {t('ownpeople:absent')} <Moment at={one.absent} />
            </p>
          ) : null}
        </>
      ),
    },
    {
      title: t('ownpeople:factor'),
      key: 'factor',
      render: (_, one) => t(one.second_factor ? 'ownpeople:yes' : 'ownpeople:no'),
    },
    {
      title: t('ownpeople:decides'),
      key: 'decides',
      render: (_, one) => one.decides_for.map((each) => each.name).join(', '),
    },
    {
      title: t('ownpeople:sessions'),
      key: 'sessions',
      align: 'right',
      className: 'number',
      render: (_, one) => one.sessions,
    },
  ];
  return (
    <Table<Person>
      size="small"
      columns={columns}
      dataSource={people}
      rowKey={(one) => one.id}
      scroll={{ x: 760 }}
      pagination={people.length > 50 ? { pageSize: 50, showSizeChanger: false } : false}
    />
  );
}
