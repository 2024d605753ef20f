import { Link, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api } from '../api';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { PersonDeeds } from './PersonDeeds';
import { usePeopleWords } from './words';

/** One account, and what an owner-admin does about it. */
export default function PersonPage() {
  const { t } = useTexts('ownpeople');
  const { name = '' } = useParams();
  const words = usePeopleWords();
  const admin = useMay('owner-admin');
  const query = api.useQuery('get', '/api/people/{name}', { params: { path: { name } } });
  return (
    <PageFrame title={name} extra={<Link to="/people">{t('ownpeople:people')}</Link>}>
      <Answer query={query}>
        {(person) => (
          <>
            <Section title={t('ownpeople:who')}>
              <Facts
                facts={[
                  { label: t('ownpeople:pseudonym'), value: <Id value={person.id} /> },
                  { label: t('ownpeople:state'), value: words.state(person.state) },
                  { label: t('ownpeople:roles'), value: person.roles.map(words.role).join(', ') },
                  {
                    label: t('ownpeople:factor'),
                    value: t(person.second_factor ? 'ownpeople:yes' : 'ownpeople:no'),
                  },
                  {
                    label: t('ownpeople:absent'),
                    value: person.absent ? <Moment at={person.absent} /> : '',
                  },
                  {
                    label: t('ownpeople:decides'),
                    value: person.decides_for.map((one) => one.name).join(', '),
                  },
                  { label: t('ownpeople:sessions'), value: String(person.sessions) },
                ]}
              />
            </Section>
            {admin ? <PersonDeeds person={person} /> : null}
          </>
        )}
      </Answer>
    </PageFrame>
  );
}
