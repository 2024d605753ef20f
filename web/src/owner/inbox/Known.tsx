import { Table, type TableColumnsType } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { usePreferences } from '../../shared/preferences';
import type { Schemas } from '../api';
import { Facts } from '../parts/Facts';
import { epsilon } from '../parts/figures';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';
import { conditionInWords } from '../policy/conditions';
import css from './Request.module.css';
import { useRequestWords } from './words';

type Request = Schemas['RequestView'];

/** What is known here: why it waits, who decides, which rule applies, what was asked before. */
export function Known({ request }: { request: Request }) {
  const { t } = useTexts('inbox');
  const { waits, people, rule } = request;
  return (
    <>
      <Section title={t('inbox:people')}>
        <Facts
          facts={[
            { label: t('inbox:waits'), value: waits.reasons.join('\n') },
            {
              label: t('inbox:until'),
              value: waits.until ? <Moment at={waits.until} /> : '',
            },
            {
              label: t('inbox:two'),
              value: people?.two_people.join('\n') ?? '',
              warns: true,
            },
            {
              label: t('inbox:approved'),
              value: people?.approved.length ? <Approved people={people} /> : '',
            },
            { label: t('inbox:can'), value: people?.can_decide.join(', ') ?? '' },
          ]}
        />
      </Section>
      {rule ? <Rule rule={rule} /> : null}
      <Before before={request.before} />
    </>
  );
}

/** Who approved it already: nothing else of that, it would sway the second person. */
function Approved({ people }: { people: Schemas['PeopleAsked'] }) {
  const { t } = useTexts('inbox');
  return (
    <ul className={parts['lines']}>
      {people.approved.map((one) => (
        <li key={one.id}>
          {one.name} <code>{one.id}</code> · <Moment at={one.at} />
          {one.in_place_of ? ` · ${t('inbox:approved.for', { name: one.in_place_of })}` : null}
          {one.reason ? ` · ${one.reason}` : null}
        </li>
      ))}
    </ul>
  );
}

/** What the policies of now decide, by which rule, and which rule nearly permitted it. */
export function Rule({ rule }: { rule: Schemas['RuleAsked'] }) {
  const { t } = useTexts('inbox');
  const words = useRequestWords();
  return (
    <Section title={t('inbox:rule')}>
      <Facts
        facts={[
          { label: t('inbox:rule.effect'), value: words.effect(rule.effect) },
          { label: t('inbox:rule.by'), value: rule.by.join('\n') },
          {
            label: t('inbox:rule.nearly'),
            value: rule.nearly.length ? rule.nearly.map((one) => <Nearly key={one.title} near={one} />) : '',
          },
        ]}
      />
    </Section>
  );
}

/** A rule that would have permitted it, but for some conditions: in words, and as they are written. */
function Nearly({ near }: { near: Schemas['NearlyRule'] }) {
  const say = useTexts('inbox', 'policies');
  const { t } = say;
  return (
    <>
      {t('inbox:rule.without', { title: near.title })}
      <ul className={parts['lines']}>
        {near.missing.map((one) => (
          <li key={one}>{conditionInWords(one, say)}</li>
        ))}
      </ul>
      <details>
        <summary>{t('inbox:rule.raw')}</summary>
        <code className={css['raw']}>{near.missing.join('\n')}</code>
      </details>
    </>
  );
}

type Earlier = Schemas['EarlierJob'];

function Before({ before }: { before: Schemas['Earlier'] }) {
  const { t } = useTexts('inbox');
  const { language } = usePreferences();
  const words = useRequestWords();
  const columns: TableColumnsType<Earlier> = [
    {
      title: t('inbox:job'),
      key: 'job',
      render: (_, one) => (
        <>
          {one.name} <Id value={one.job} />
        </>
      ),
    },
    { title: t('inbox:purpose'), dataIndex: 'purpose' },
    { title: t('inbox:data'), dataIndex: 'dataset' },
    {
      title: 'ε',
      key: 'epsilon',
      align: 'right',
      className: 'number',
      render: (_, one) => epsilon(one.epsilon, language),
    },
    {
      title: t('inbox:state'),
      key: 'state',
      render: (_, one) =>
        [words.state(one.state), words.outcome(one.outcome), one.reason].filter(Boolean).join(' · '),
    },
    { title: t('inbox:when'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
  ];
  return (
    <Section title={t('inbox:before')}>
      {before.jobs ? (
        <>
          <p>{t('inbox:before.count', { count: before.jobs })}</p>
          <Table<Earlier>
            size="small"
            columns={columns}
            dataSource={before.newest}
            rowKey={(one) => one.job}
            pagination={false}
            scroll={{ x: 720 }}
          />
        </>
      ) : (
        <p>{t('inbox:before.none')}</p>
      )}
    </Section>
  );
}
