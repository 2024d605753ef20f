import { Alert, Button, Flex, Space, Tag, Typography, type TableColumnsType } from 'antd';
import { useQueryClient } from '@tanstack/react-query';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment, useNow } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { AnchorList } from './AnchorList';
import {
  alarmsOf,
  newestHeads,
  placesOf,
  type Alarm,
  type Head,
  type Newest,
  type Place,
  type Said,
} from './anchors';
import { useDeedName, useMake } from './anchorwords';
import css from './Record.module.css';
import { useAnchoredHeads } from './useAnchors';

/** What members say they anchored at places that others than the operator keep. */
export default function AnchorsPage() {
  const { t } = useTexts('anchors');
  const queries = useQueryClient();
  const refresh = () => void queries.invalidateQueries({ queryKey: ['get', '/api/v1/anchors'] });
  return (
    <PageFrame
      title={t('anchors:title')}
      lead={t('anchors:lead')}
      extra={
        <Space>
          <Button onClick={refresh}>{t('anchors:refresh')}</Button>
          <Link to="/record">{t('anchors:record')}</Link>
        </Space>
      }
    >
      <Flex vertical gap="middle">
        <WhoSays />
        <Answer query={useAnchoredHeads()}>
          {({ said, more, head }) => <Found said={said} more={more} head={head} />}
        </Answer>
      </Flex>
    </PageFrame>
  );
}

/** Says whose words these are, and where they are checked: this page proves nothing. */
export function WhoSays() {
  const { t } = useTexts('anchors');
  return (
    <Alert
      type="info"
      showIcon
      title={t('anchors:says')}
      description={
        <>
          <p>{t('anchors:says.where')}</p>
          <ul className={css['commands']}>
            <li>
              <Id value="secureflow anchor verify --charter charter.json" />
            </li>
            <li>
              <Id value="secureflow audit verify JOB.bundle.json --charter charter.json" />
            </li>
            <li>
              <Id value="secureflow agent anchor verify" />
            </li>
          </ul>
        </>
      }
    />
  );
}

type FoundProps = { said: Said[]; more: boolean; head: Head | null };

function Found({ said, more, head }: FoundProps) {
  const { t } = useTexts('anchors');
  const now = useNow();
  if (!said.length) {
    return <Empty title={t('anchors:none')} next={t('anchors:none.next')} />;
  }
  return (
    <Flex vertical gap="middle">
      <Alarms alarms={alarmsOf(said, head)} />
      {more ? <Alert type="warning" showIcon title={t('anchors:more')} /> : null}
      <Places places={placesOf(said)} />
      <Heads heads={newestHeads(said, head, now)} head={head} />
      <AnchorList />
    </Flex>
  );
}

function Alarms({ alarms }: { alarms: Alarm[] }) {
  const { t } = useTexts('anchors');
  const deed = useDeedName();
  if (!alarms.length) {
    return <Alert type="success" showIcon title={t('anchors:alarms.none')} />;
  }
  return (
    <Alert
      type="error"
      showIcon
      title={t('anchors:alarms', { count: alarms.length })}
      description={
        <>
          <ul>
            {alarms.map((one) => (
              <li key={JSON.stringify(one)}>
                {t(`anchors:alarm.${one.kind}`, { ...one, deed: deed(one.deed) })}
              </li>
            ))}
          </ul>
          <p>{t('anchors:alarms.next')}</p>
        </>
      }
    />
  );
}

function Places({ places }: { places: Place[] }) {
  const { t } = useTexts('anchors');
  const make = useMake();
  const columns: TableColumnsType<Place> = [
    { title: t('anchors:make'), key: 'make', render: (_, one) => make(one.make) },
    { title: t('anchors:place'), key: 'place', render: (_, one) => <Id value={one.place} /> },
    {
      title: t('anchors:members'),
      key: 'members',
      render: (_, one) => one.organisations.join(', '),
    },
    {
      title: t('anchors:size'),
      key: 'size',
      align: 'right',
      className: 'number',
      render: (_, one) => one.size || '',
    },
    { title: t('anchors:newest'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
  ];
  return (
    <section aria-labelledby="anchors-places">
      <Typography.Title level={2} id="anchors-places" className={css['title'] ?? ''}>
        {t('anchors:places')}
      </Typography.Title>
      <WideTable<Place>
        size="small"
        pagination={false}
        rowKey={(one) => one.place}
        dataSource={places}
        columns={columns}
      />
    </section>
  );
}

function Heads({ heads, head }: { heads: Newest[]; head: Head | null }) {
  const { t } = useTexts('anchors');
  const columns: TableColumnsType<Newest> = [
    { title: t('anchors:member'), key: 'member', dataIndex: 'organisation' },
    {
      title: t('anchors:size'),
      key: 'size',
      align: 'right',
      className: 'number',
      dataIndex: 'size',
    },
    {
      title: t('anchors:state'),
      key: 'state',
      render: (_, one) => <HowFar one={one} />,
    },
    { title: t('anchors:at'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
    { title: t('anchors:root'), key: 'root', render: (_, one) => <Id value={one.root} /> },
    { title: t('anchors:place'), key: 'place', render: (_, one) => <Id value={one.place} /> },
    {
      title: t('anchors:block'),
      key: 'block',
      align: 'right',
      className: 'number',
      dataIndex: 'block',
    },
    {
      title: t('anchors:transaction'),
      key: 'transaction',
      render: (_, one) => <Id value={one.transaction} />,
    },
  ];
  return (
    <section aria-labelledby="anchors-heads">
      <Typography.Title level={2} id="anchors-heads" className={css['title'] ?? ''}>
        {t('anchors:heads')}
      </Typography.Title>
      {head ? <p>{t('anchors:heads.now', { size: head.size, origin: head.origin })}</p> : null}
      <WideTable<Newest>
        size="small"
        pagination={false}
        rowKey={(one) => `${one.log} ${one.organisation} ${one.place}`}
        dataSource={heads}
        columns={columns}
      />
    </section>
  );
}

function HowFar({ one }: { one: Newest }) {
  const { t } = useTexts('anchors');
  if (one.behind === null) return <Tag>{t('anchors:state.other')}</Tag>;
  if (!one.behind) return <Tag color="success">{t('anchors:state.whole')}</Tag>;
  return (
    <Tag color={one.late ? 'warning' : 'default'}>
      {t(one.late ? 'anchors:state.late' : 'anchors:state.behind', { count: one.behind })}
    </Tag>
  );
}
