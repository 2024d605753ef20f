import { Checkbox, Col, Form, InputNumber, Radio, Row, Select } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import type { Dataset } from '../data/columns';
import { Outcome } from './Outcome';
import { declaredKey, keyColumns, overlapMissing, overlapRequest, RULES, type OverlapValues } from './overlap';
import { Context, Offer, offered, useBeginning, useDatasets, useLateBeginning } from './Sources';

const BEGIN: OverlapValues = { rule: 'phone', tells: 'size', shown: true };

/** How many rows two owners share, or which ones: private set intersection. */
export default function Overlap() {
  const { t } = useTexts('ask');
  const beginning = useBeginning();
  const [form] = Form.useForm<OverlapValues>();
  const [values, say] = useState<OverlapValues>({
    ...BEGIN,
    name: t('ask:overlap.name'),
    ...beginning,
  });
  const datasets = useDatasets(values.project);
  useLateBeginning(values.project, (said) => {
    form.setFieldsValue(said);
    say((before) => ({ ...before, ...said }));
  });
  const known = datasets.data ?? [];
  const change = (changed: OverlapValues, all: OverlapValues) => {
    const next: OverlapValues = { ...values, ...all };
    if ('project' in changed) Object.assign(next, { first: undefined, second: undefined });
    const keyOf = (id?: string) => declaredKey(known.find((one) => one.id === id));
    if ('project' in changed || 'first' in changed) next.firstKey = keyOf(next.first);
    if ('project' in changed || 'second' in changed) next.secondKey = keyOf(next.second);
    const others = 'first' in changed || 'second' in changed || 'project' in changed;
    if (others || (next.tells === 'size' && next.learns === 'all')) next.learns = undefined;
    if ('tells' in changed) next.shown = next.tells === 'size';
    form.setFieldsValue(next);
    say(next);
  };
  const sides = (['first', 'second'] as const).map((name) =>
    known.find((one) => one.id === values[name]),
  );
  return (
    <PageFrame title={t('ask:overlap')} lead={t('ask:overlap.lead')}>
      <Row gutter={[24, 24]}>
        <Col xs={24} lg={12}>
          <Form<OverlapValues>
            form={form}
            name="overlap"
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
            <Offer query={datasets} />
            <Sides known={known} sides={sides} />
            <Learner sides={sides} rows={values.tells === 'rows'} />
          </Form>
        </Col>
        <Col xs={24} lg={12}>
          <Outcome request={overlapRequest(values, known)} missing={overlapMissing(values, known)} />
        </Col>
      </Row>
    </PageFrame>
  );
}

type Sided = { sides: readonly (Dataset | undefined)[] };

function Sides({ known, sides }: Sided & { known: Dataset[] }) {
  const { t } = useTexts('ask');
  const [first, second] = sides;
  const columns = (one: Dataset | undefined) =>
    keyColumns(one).map((name) => ({ value: name, label: name }));
  const others = known.filter((one) => one.organisation !== first?.organisation);
  return (
    <>
      <Form.Item name="first" label={t('ask:first')}>
        <Select showSearch={{ optionFilterProp: 'label' }} options={offered(known)} />
      </Form.Item>
      <Form.Item name="firstKey" label={t('ask:key.first')}>
        <Select showSearch options={columns(first)} />
      </Form.Item>
      <Form.Item name="second" label={t('ask:second')}>
        <Select showSearch={{ optionFilterProp: 'label' }} options={offered(others)} />
      </Form.Item>
      <Form.Item name="secondKey" label={t('ask:key.second')}>
        <Select showSearch options={columns(second)} />
      </Form.Item>
      <Form.Item name="rule" label={t('ask:rule')} extra={t('ask:rule.hint')}>
        <Select options={RULES.map((value) => ({ value, label: t(`ask:rule.${value}`) }))} />
      </Form.Item>
    </>
  );
}

function Learner({ sides, rows }: Sided & { rows: boolean }) {
  const { t } = useTexts('ask');
  const owners = sides.flatMap((one) => (one ? [one.organisation] : []));
  const choices = owners.map((value) => ({ value, label: value }));
  return (
    <>
      <Form.Item name="tells" label={t('ask:tells')} extra={t('ask:tells.hint')}>
        <Radio.Group
          options={[
            { value: 'size', label: t('ask:tells.size') },
            { value: 'rows', label: t('ask:tells.rows') },
          ]}
        />
      </Form.Item>
      <Form.Item name="learns" label={t('ask:who')}>
        <Select
          options={rows ? [...choices, { value: 'all', label: t('ask:who.all') }] : choices}
        />
      </Form.Item>
      <Form.Item
        name="shown"
        valuePropName="checked"
        label={t('ask:report')}
        extra={t('ask:report.hint')}
      >
        <Checkbox>{t('ask:report.told')}</Checkbox>
      </Form.Item>
      <Form.Item name="minimum" label={t('ask:minimum')} extra={t('ask:minimum.hint')}>
        <InputNumber min={0} max={1e8} precision={0} />
      </Form.Item>
    </>
  );
}
