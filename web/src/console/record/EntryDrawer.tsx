import { useQuery } from '@tanstack/react-query';
import { Descriptions, Drawer, Flex, Tag, Typography } from 'antd';
import { Link } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { moment } from '../../shared/format';
import type { JsonObject } from '../../verify/json';
import { Signatures } from '../../verify/signatures';
import { spelled } from './plain';
import { checkEntry, entryIn, type Checked, type Proof } from './proof';
import { told } from '../../shared/verdict/told';
import verdict from '../../shared/verdict/Verdict.module.css';
import css from './Record.module.css';

type Looked = { entry: JsonObject; proof: Proof | null };

async function look(index: number): Promise<Looked | null> {
  const query = { start: index, limit: 1 };
  const answer = await http.GET('/api/v1/audit/entries', { params: { query }, parseAs: 'text' });
  const entry = entryIn(answer.data!, index);
  if (entry === null) return null;
  const head = (await http.GET('/api/v1/audit/head')).data!;
  if (index >= head.size) return { entry, proof: null };
  const asked = { params: { query: { index, size: head.size } } };
  const hashes = (await http.GET('/api/v1/audit/inclusion', asked)).data!.proof;
  return { entry, proof: await checkEntry(entry, head.note, hashes, await Signatures.ready()) };
}

/** One entry, beside the list: what it says, and what this browser found of its proof. */
export function EntryDrawer({ index, close }: { index: number | null; close: () => void }) {
  const { t } = useTexts('record');
  const query = useQuery({
    queryKey: ['entry', index],
    queryFn: () => look(index ?? 0),
    enabled: index !== null,
  });
  return (
    <Drawer
      open={index !== null}
      onClose={close}
      size="large"
      title={t('record:entry', { index: index ?? 0 })}
    >
      <Answer query={query}>
        {(looked) =>
          looked === null ? (
            <p>{t('record:entry.none')}</p>
          ) : (
            <Flex vertical gap="middle">
              <Proven proof={looked.proof} />
              <Leaf entry={looked.entry} />
              <Document entry={looked.entry} />
            </Flex>
          )
        }
      </Answer>
    </Drawer>
  );
}

const COLOURS = { holds: 'success', fails: 'error', hidden: 'default' } as const;

function Proven({ proof }: { proof: Proof | null }) {
  const { t } = useTexts('record');
  if (proof === null) return <p>{t('record:entry.unsigned')}</p>;
  return (
    <section>
      <Typography.Title level={2} className={css['title']}>
        {t('record:checked')}
      </Typography.Title>
      <ul className={verdict['checks']}>
        {proof.checks.map((one) => (
          <Check key={one.step} check={one} />
        ))}
      </ul>
      <p>{t('record:checked.under', { size: proof.size })}</p>
      <Id value={proof.root} />
      <p>{t('record:checked.hint')}</p>
      <Link to="/record/verify">{t('record:verify')}</Link>
    </section>
  );
}

function Check({ check }: { check: Checked }) {
  const { t } = useTexts('record');
  const { language } = usePreferences();
  return (
    <li data-check={check.step} data-found={check.found}>
      <Tag className={css['tag'] ?? ''} color={COLOURS[check.found]}>{t(`record:found.${check.found}`)}</Tag>
      {t(`record:step.${check.step}`)}
      {check.why ? <p>{told(check.why, language)}</p> : null}
    </li>
  );
}

const FIELDS = ['kind', 'author', 'job', 'at', 'spec', 'prev', 'commitment', 'origin'] as const;

function Leaf({ entry }: { entry: JsonObject }) {
  const { t } = useTexts('record');
  const { language, zone } = usePreferences();
  const signed = entry.get('leaf');
  const body = signed instanceof Map ? signed.get('leaf') : undefined;
  const shown = (name: string) => {
    const value = body instanceof Map ? body.get(name) : undefined;
    if (name === 'at' && typeof value === 'number') return moment(value, language, zone);
    if (typeof value !== 'string' || !value) return null;
    return name === 'kind' || name === 'author' ? value : <Id value={value} />;
  };
  return (
    <Descriptions
      size="small"
      column={1}
      title={t('record:leaf')}
      items={[
        { key: 'hash', label: t('record:hash'), children: <Id value={String(entry.get('hash'))} /> },
        ...FIELDS.flatMap((name) => {
          const children = shown(name);
          return children ? [{ key: name, label: t(`record:leaf.${name}`), children }] : [];
        }),
      ]}
    />
  );
}

function Document({ entry }: { entry: JsonObject }) {
  const { t } = useTexts('record');
  return (
    <section>
      <Typography.Title level={2} className={css['title']}>
        {t('record:document')}
      </Typography.Title>
      {entry.has('salt') ? (
        <pre className={css['document']} tabIndex={0}>
          {spelled(entry.get('document') ?? null)}
        </pre>
      ) : (
        <p>{t(entry.has('leaf') ? 'record:document.gone' : 'record:document.hidden')}</p>
      )}
    </section>
  );
}
