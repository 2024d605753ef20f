import { Card, Descriptions, Flex } from 'antd';
import { useParams } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { useMe, type Account } from '../session';
import { PersonState } from './People';
import { PersonDeeds } from './PersonDeeds';
import { PersonIdentities } from './PersonIdentities';
import { PersonTokens } from './PersonTokens';
import { changes } from './roles';

/** An account: what it may do, its programs' tokens, and how to take all of that back. */
export default function PersonPage() {
  const { person: key = '' } = useParams();
  const { t } = useTexts('administration');
  const me = useMe().data;
  const query = api.useQuery('get', '/api/v1/users/{key}', { params: { path: { key } } });
  const person = query.data;
  const may = person !== undefined && changes(me, person.organisation) && !person.erased;
  return (
    <PageFrame
      title={person ? person.display || person.name || person.id : t('administration:person')}
      lead={person?.organisation || (person ? t('administration:operator') : undefined)}
      extra={may && person ? <PersonDeeds person={person} /> : null}
    >
      <Answer query={query}>
        {(one) => (
          <Flex vertical gap="middle">
            <Facts person={one} />
            {may ? <PersonTokens person={one} /> : null}
            {may ? <PersonIdentities person={one} /> : null}
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

function Facts({ person }: { person: Account }) {
  const { t } = useTexts('administration');
  return (
    <Card size="small">
      <Descriptions
        size="small"
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'id', label: t('administration:id'), children: <Id value={person.id} /> },
          { key: 'login', label: t('administration:login'), children: person.name },
          {
            key: 'roles',
            label: t('administration:roles'),
            children: person.roles.map((role) => t(`administration:role.${role}`)).join(', '),
          },
          {
            key: 'state',
            label: t('administration:state'),
            children: <PersonState person={person} />,
          },
          {
            key: 'created',
            label: t('administration:created'),
            children: <Moment at={person.created} />,
          },
        ]}
      />
    </Card>
  );
}
