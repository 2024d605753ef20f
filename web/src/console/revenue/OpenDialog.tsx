import { Alert, Button, Flex, InputNumber, Modal, Select, Space } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import type { Project } from '../project';
import { useDeed } from '../settings/deeds';
import { Figures } from './Figures';
import { useFinishedJobs } from './useFinishedJobs';

type Wanted = Required<Pick<Schemas['SettlementRequest'], 'jobs' | 'entered'>>;
const STALE = ['/api/v1/projects/{key}/settlements'];
const MOST = 10 ** 15;

type Props = { project: Project; open: boolean; close: () => void };

/** First the figures as they would be, of which nothing is stored; then they are proposed. */
export function OpenDialog({ project, open, close }: Props) {
  const { t } = useTexts('revenue');
  const go = useNavigate();
  const [wanted, want] = useState<Wanted>({ jobs: [], entered: 0 });
  const path = { params: { path: { key: project.id } } };
  const preview = useDeed(async (body: Wanted) => {
    const sent = { ...path, body: { ...body, replaces: '' } };
    return (await http.POST('/api/v1/projects/{key}/settlements/preview', sent)).data!;
  });
  const propose = useDeed(async (body: Wanted) => {
    const sent = { ...path, body: { ...body, replaces: '' } };
    return (await http.POST('/api/v1/projects/{key}/settlements', sent)).data!;
  }, ...STALE);
  const change = (part: Partial<Wanted>) => {
    want({ ...wanted, ...part });
    preview.reset();
    propose.reset();
  };
  const done = (made: { id: string }) => {
    close();
    void go(`/settlements/${made.id}`);
  };
  const shown = preview.data;
  return (
    <Modal
      open={open}
      width={1000}
      title={t('revenue:open')}
      onCancel={close}
      afterClose={() => change({ jobs: [], entered: 0 })}
      destroyOnHidden
      footer={
        <Space>
          <Button onClick={close}>{t('revenue:cancel')}</Button>
          <Button loading={preview.isPending} onClick={() => preview.mutate(wanted)}>
            {t('revenue:preview')}
          </Button>
          <Button
            type="primary"
            disabled={!shown}
            loading={propose.isPending}
            onClick={() => propose.mutate(wanted, { onSuccess: done })}
          >
            {t('revenue:propose')}
          </Button>
        </Space>
      }
    >
      <Flex vertical gap="middle">
        <p>{t('revenue:open.hint')}</p>
        <Jobs project={project} chosen={wanted.jobs} choose={(jobs) => change({ jobs })} />
        <InputNumber
          aria-label={t('revenue:entered.amount')}
          placeholder={t('revenue:entered.amount')}
          addonAfter={t('revenue:minor')}
          min={0}
          max={MOST}
          precision={0}
          value={wanted.entered || null}
          onChange={(entered) => change({ entered: entered ?? 0 })}
          style={{ maxWidth: 420 }}
        />
        {preview.isError ? <Failed error={preview.error} /> : null}
        {propose.isError ? <Failed error={propose.error} /> : null}
        {shown ? (
          <>
            <Alert type="warning" showIcon title={t('revenue:preview.hint')} />
            <Figures settlement={shown} />
          </>
        ) : null}
      </Flex>
    </Modal>
  );
}

type JobsProps = { project: Project; chosen: string[]; choose: (jobs: string[]) => void };

function Jobs({ project, chosen, choose }: JobsProps) {
  const { t } = useTexts('revenue');
  const jobs = useFinishedJobs(project.id);
  return (
    <Select
      mode="multiple"
      allowClear
      aria-label={t('revenue:jobs.which')}
      placeholder={t('revenue:jobs.all')}
      value={chosen}
      onChange={choose}
      loading={jobs.isPending}
      optionFilterProp="label"
      options={(jobs.data?.items ?? []).map((one) => ({
        value: one.id,
        label: `${one.name} (${one.id})`,
      }))}
    />
  );
}
