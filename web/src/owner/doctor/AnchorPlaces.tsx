import { Alert, Button, Flex, Tag } from 'antd';
import { duration } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { api, http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';

type Place = Schemas['AnchorPlace'];
type Found = Schemas['ExaminedPlace'];

/** The places at which this agent anchors: by its own record, and when they are asked now. */
export function AnchorPlaces() {
  const { t } = useTexts('anchors');
  const query = api.useQuery('get', '/api/anchors');
  const examine = useDeed(async () => (await http.POST('/api/anchors/doctor')).data!.places);
  return (
    <Section
      title={t('anchors:own')}
      extra={
        query.data?.places.length ? (
          <Button loading={examine.isPending} onClick={() => examine.mutate(undefined)}>
            {t('anchors:own.ask')}
          </Button>
        ) : null
      }
    >
      <div aria-live="polite">
        {examine.isError ? <Failed error={examine.error} /> : null}
        <Answer query={query}>
          {({ places }) => (
            <Flex vertical gap="middle">
              {places.length ? null : <p>{t('anchors:own.none')}</p>}
              {places.map((one) => (
                <OnePlace
                  key={one.place}
                  place={one}
                  found={examine.data?.find((each) => each.place.place === one.place)}
                />
              ))}
            </Flex>
          )}
        </Answer>
      </div>
    </Section>
  );
}

function OnePlace({ place, found }: { place: Place; found: Found | undefined }) {
  const { t, has } = useTexts('anchors');
  const { language } = usePreferences();
  const make = `anchors:make.${place.make}`;
  const known = found?.place ?? place;
  const late = known.late ? duration(known.late, language) : '';
  const { trouble } = known;
  return (
    <div>
      <h3>
        {place.name} <Tag>{has(make) ? t(make) : place.make}</Tag>
      </h3>
      {found ? (
        <Alert
          type={found.problem ? 'error' : 'success'}
          showIcon
          title={found.problem || t('anchors:own.answers')}
          description={found.hint || null}
        />
      ) : trouble ? (
        <Alert type="error" showIcon title={trouble.message} description={trouble.hint || null} />
      ) : null}
      <Facts
        facts={[
          { label: t('anchors:place'), value: <Id value={place.place} /> },
          { label: t('anchors:own.looked'), value: known.looked ? <Moment at={known.looked} /> : '' },
          {
            label: t('anchors:own.waiting'),
            value: known.waiting
              ? t('anchors:own.waiting.is', { count: known.waiting, late })
              : t('anchors:own.waiting.none'),
          },
        ]}
      />
    </div>
  );
}
