import { Col, Form, InputNumber, Radio, Row, Select } from 'antd';
import { useEffect, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import type { Column } from '../data/columns';
import { Outcome } from './Outcome';
import { onlyOnes } from './only';
import { Context, Offer, offered, useBeginning, useDatasets, useLateBeginning } from './Sources';
import {
  MEASURES,
  measurable,
  sharedColumns,
  statisticsMissing,
  statisticsRequest,
  type StatisticsValues,
} from './statistics';

const BEGIN: StatisticsValues = {
  measure: 'mean',
  columns: [],
  quantiles: [0.5],
  bins: 64,
  limit: 'epsilon',
  epsilon: 1,
  noise: 2,
  delta: 1e-6,
};

const DELTAS = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10];

/** One question in numbers over several owners' data, without drawing anything. */
export default function Statistics() {
  const { t } = useTexts('ask');
  const beginning = useBeginning();
  const [form] = Form.useForm<StatisticsValues>();
  const [values, say] = useState<StatisticsValues>({
    ...BEGIN,
    name: t('ask:statistics.name'),
    ...beginning,
  });
  const datasets = useDatasets(values.project);
  useLateBeginning(values.project, (said) => {
    form.setFieldsValue(said);
    say((before) => ({ ...before, ...said }));
  });
  const granted = datasets.data;
  useEffect(() => {
    const only = onlyOnes(granted ?? []);
    if (!only.length || form.getFieldValue('datasets')?.length) return;
    form.setFieldsValue({ datasets: only });
    say((before) => ({ ...before, datasets: only }));
  }, [granted, form]);
  const chosen = (datasets.data ?? []).filter((one) => values.datasets?.includes(one.id));
  const change = (changed: StatisticsValues, all: StatisticsValues) => {
    const next = { ...values, ...all };
    if ('project' in changed) Object.assign(next, { datasets: [], columns: [], by: undefined });
    if ('measure' in changed || 'datasets' in changed) next.columns = [];
    form.setFieldsValue(next);
    say(next);
  };
  return (
    <PageFrame title={t('ask:statistics')} lead={t('ask:statistics.lead')}>
      <Row gutter={[24, 24]}>
        <Col xs={24} lg={12}>
          <Form<StatisticsValues>
            form={form}
            name="statistics"
            layout="vertical"
            requiredMark={false}
            initialValues={values}
            onValuesChange={change}
          >
            <Context
              purpose={(purpose) => {
                form.setFieldsValue({ purpose });
                say((before) => ({ ...before, purpose }));
              }}
            />
            <Form.Item name="datasets" label={t('ask:datasets')} extra={t('ask:datasets.hint')}>
              <Select
                mode="multiple"
                loading={datasets.isFetching}
                showSearch={{ optionFilterProp: 'label' }}
                options={offered(datasets.data ?? [])}
              />
            </Form.Item>
            <Offer query={datasets} />
            <Question values={values} columns={sharedColumns(chosen)} />
            <Noise values={values} />
          </Form>
        </Col>
        <Col xs={24} lg={12}>
          <Outcome request={statisticsRequest(values)} missing={statisticsMissing(values)} />
        </Col>
      </Row>
    </PageFrame>
  );
}

type Props = { values: StatisticsValues; columns: Column[] };

function Question({ values, columns }: Props) {
  const { t } = useTexts('ask');
  const measure = values.measure ?? 'mean';
  const choices = (names: string[]) => names.map((value) => ({ value, label: value }));
  const groups = columns.filter((one) => one.type === 'category').map((one) => one.name);
  return (
    <>
      <Form.Item name="measure" label={t('ask:measure')}>
        <Select options={MEASURES.map((value) => ({ value, label: t(`words:measure.${value}`) }))} />
      </Form.Item>
      <Form.Item
        name="columns"
        label={t('ask:columns')}
        extra={t(measure === 'count' ? 'ask:columns.count' : 'ask:columns.hint')}
      >
        <Select mode="multiple" allowClear options={choices(measurable(columns, measure))} />
      </Form.Item>
      <Form.Item name="by" label={t('ask:by')}>
        <Select allowClear options={choices(groups)} />
      </Form.Item>
      <Form.Item name="quantiles" label={t('ask:quantiles')} hidden={measure !== 'quantile'}>
        <Select
          mode="multiple"
          options={[0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99].map((value) => ({
            value,
            label: String(value),
          }))}
        />
      </Form.Item>
      <Form.Item
        name="bins"
        label={t('ask:bins')}
        hidden={measure !== 'histogram' && measure !== 'quantile'}
      >
        <InputNumber min={2} max={4096} precision={0} />
      </Form.Item>
    </>
  );
}

function Noise({ values }: { values: StatisticsValues }) {
  const { t } = useTexts('ask');
  const byNoise = values.limit === 'noise';
  return (
    <>
      <Form.Item name="limit" label={t('ask:limit')} extra={t('ask:limit.hint')}>
        <Radio.Group
          options={[
            { value: 'epsilon', label: t('ask:limit.epsilon') },
            { value: 'noise', label: t('ask:limit.noise') },
          ]}
        />
      </Form.Item>
      <Form.Item
        name="epsilon"
        label={t('ask:epsilon')}
        extra={t('ask:epsilon.hint')}
        hidden={byNoise}
      >
        <InputNumber min={0.001} max={100} step={0.1} />
      </Form.Item>
      <Form.Item name="noise" label={t('ask:noise')} hidden={!byNoise}>
        <InputNumber min={0.1} max={1e6} step={0.5} />
      </Form.Item>
      <Form.Item name="delta" label={t('ask:delta')} extra={t('ask:delta.hint')}>
        <Select
          style={{ width: 140 }}
          options={DELTAS.map((value) => ({ value, label: value.toExponential() }))}
        />
      </Form.Item>
    </>
  );
}
