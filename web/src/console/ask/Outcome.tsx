import { useMutation } from '@tanstack/react-query';
import { Alert, Button, Card, Descriptions, Flex } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { http } from '../../api/client';
import { bytes, duration } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { usePreferences } from '../../shared/preferences';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { hex } from '../../verify/bytes';
import { Rows, rowsOf } from '../jobs/ExplanationTab';
import { members } from '../models/card';
import type { OverlapBody } from './overlap';
import type { StatisticsBody } from './statistics';
import { useDraft, type Checked } from './useDraft';

type Props = {
  request: StatisticsBody | OverlapBody | null;
  /** The fields that lack, by their labels in the catalogue. */
  missing: readonly string[];
};

/** What a request costs and who learns what, before anybody is asked; then it is submitted. */
export function Outcome({ request, missing }: Props) {
  const { t } = useTexts('ask');
  const navigate = useNavigate();
  // Once per visit and request, however often the button is pressed or the network asked.
  const [visit] = useState(() => hex(crypto.getRandomValues(new Uint8Array(12))));
  const draft = useDraft(request);
  const submit = useMutation({
    mutationFn: async (checked: Checked) => {
      const header = { 'Idempotency-Key': `${visit}-${checked.digest.slice(-32)}` };
      return (await http.POST('/api/v1/jobs', { body: request!, params: { header } })).data!;
    },
    onSuccess: (job) => navigate(`/jobs/${encodeURIComponent(job.id)}`),
  });
  const checked = draft.current ? draft.data : undefined;
  return (
    <Flex vertical gap="middle" aria-live="polite">
      {request === null ? <p>{t('ask:incomplete')}</p> : null}
      {request !== null && draft.error ? <Failed error={draft.error} /> : null}
      {request !== null && !checked && !draft.error ? <Loading what={t('ask:checking')} /> : null}
      {request !== null && checked ? <Told checked={checked} /> : null}
      {submit.error ? <Failed error={submit.error} /> : null}
      <div>
        <Button
          type="primary"
          loading={submit.isPending}
          disabled={!checked || checked.problems.length > 0}
          onClick={() => checked && submit.mutate(checked)}
        >
          {t('ask:submit')}
        </Button>
        {missing.length ? (
          <p>{t('ask:missing', { fields: missing.map((one) => t(`ask:${one}`)).join(t('ask:between')) })}</p>
        ) : null}
      </div>
      <p>{t('ask:submit.hint')}</p>
    </Flex>
  );
}

function Told({ checked }: { checked: Checked }) {
  const { t } = useTexts('ask');
  const { preview, problems } = checked;
  return (
    <>
      {problems.map((one) => (
        <Alert
          key={`${one.field} ${one.code} ${one.party} ${one.column}`}
          type="error"
          showIcon
          title={one.message}
          description={one.hint}
        />
      ))}
      {(checked.notes ?? []).map((one) => (
        <Alert key={one} type="info" showIcon title={one} />
      ))}
      {preview ? <Cost checked={checked} /> : null}
      {preview ? (
        <Rows title={t('ask:learns')} rows={rowsOf(preview.learns)} names={['who', 'sees', 'why']} />
      ) : null}
    </>
  );
}

function Cost({ checked }: { checked: Checked }) {
  const { t, has } = useTexts('ask');
  const { language } = usePreferences();
  const preview = checked.preview!;
  const cost = members(preview.epsilon);
  const { seconds, bytes: size } = members(preview.estimate);
  const epsilon = cost['job'];
  const protection = preview.protection;
  const spent =
    typeof epsilon === 'number'
      ? t('ask:epsilon.told', {
          epsilon: epsilon.toPrecision(4),
          delta: Number(cost['delta']).toExponential(0),
          unit: has(`words:unit.${String(cost['unit'])}`)
            ? t(`words:unit.${String(cost['unit'])}`)
            : String(cost['unit'] ?? ''),
        })
      : t('ask:epsilon.none');
  const items = [
    { key: 'epsilon', label: t('ask:cost'), children: spent },
    { key: 'parties', label: t('ask:parties'), children: preview.parties.join(', ') },
    {
      key: 'protection',
      label: t('ask:protection'),
      children: has(`words:protection.${protection}`)
        ? t(`words:protection.${protection}`)
        : protection,
    },
    ...(typeof seconds === 'number'
      ? [{ key: 'seconds', label: t('ask:seconds'), children: duration(seconds, language) }]
      : []),
    ...(typeof size === 'number'
      ? [{ key: 'bytes', label: t('ask:bytes'), children: bytes(size, language) }]
      : []),
    ...(checked.digest
      ? [{ key: 'digest', label: t('ask:digest'), children: <Id value={checked.digest} /> }]
      : []),
  ];
  return (
    <Card size="small" title={t('ask:preview')}>
      <Descriptions size="small" column={1} items={items} />
    </Card>
  );
}
