import { Alert, Button, Divider, Input, Space, Typography } from 'antd';
import { useEffect, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { bytes, duration, number } from '../../shared/format';
import { inWords, kindOf, nameBeside, type Component } from './catalogue';
import { PIPELINE, renamed, type Step } from './draft';
import { useDrawing } from './drawing';
import css from './Form.module.css';
import { isMembers } from './json';
import { Learns, type Row } from './Learns';
import { rowsOf, rowsOfStep } from './reveals';
import { SchemaForm, useWanted } from './SchemaForm';
import { Connections } from './StepList';
import type { Checked } from './useCheck';

/** The settings of what is chosen: of the whole job, or of a step; below, what it reveals and costs. */
export function Panel({ answer }: { answer: Checked | null }) {
  const { t } = useTexts('canvas');
  const { steps, chosen, choose, request } = useDrawing();
  useWanted();
  const step = steps.find((one) => one.id === chosen);
  return (
    <section className={css['panel']} aria-label={t('canvas:settings')}>
      <Space wrap size="small">
        <Button size="small" type={step ? 'default' : 'primary'} aria-pressed={!step} onClick={() => choose('')}>
          {t('canvas:job')}
        </Button>
        {steps.map((one) => (
          <Button
            key={one.id}
            size="small"
            type={one.id === chosen ? 'primary' : 'default'}
            aria-pressed={one.id === chosen}
            onClick={() => choose(one.id)}
          >
            {one.id}
          </Button>
        ))}
      </Space>
      {step ? (
        <StepPanel key={step.id} step={step} answer={answer} alone={request['kind'] !== PIPELINE} />
      ) : (
        <JobPanel answer={answer} />
      )}
    </section>
  );
}

function JobPanel({ answer }: { answer: Checked | null }) {
  const { t } = useTexts('canvas');
  const { catalogue, request, steps } = useDrawing();
  const kind = typeof request['kind'] === 'string' ? request['kind'] : '';
  const component = kindOf(catalogue, kind) ?? kindOf(catalogue, 'statistics');
  if (!component) return null;
  const own = kind === PIPELINE;
  return (
    <>
      <Typography.Title level={2} className={css['title'] ?? ''}>
        {t('canvas:job')}
      </Typography.Title>
      {steps.length ? null : <p className={css['hint']}>{t('canvas:empty')}</p>}
      <Comments show={(place) => place === ''} />
      <SchemaForm
        schema={component.parameters}
        path={[]}
        show={(one) => (own ? one.name !== 'steps' : one.common)}
      />
      {own ? <Reveals rows={rowsOf(answer)} answer={answer} /> : null}
    </>
  );
}

function StepPanel({ step, answer, alone }: { step: Step; answer: Checked | null; alone: boolean }) {
  const { t } = useTexts('canvas');
  const { catalogue, language, remove } = useDrawing();
  const component = kindOf(catalogue, step.kind);
  if (!component) return <p>{t('canvas:unknown', { kind: step.kind })}</p>;
  const label = inWords(component.label, language);
  const name = alone ? '' : nameBeside(label, step.id);
  const said = alone ? rowsOf(answer) : rowsOfStep(answer, step.id);
  const rows = said.length ? said : usual(partOf(step, component, catalogue.components), language);
  return (
    <>
      <div className={css['head']}>
        <Typography.Title level={2} className={css['title'] ?? ''}>
          {label}
          {name ? <span className={css['of']}> {name}</span> : null}
        </Typography.Title>
        <Button size="small" danger onClick={() => remove(step.id)}>
          {t('canvas:remove')}
        </Button>
      </div>
      <p className={css['hint']}>{inWords(component.sentence, language)}</p>
      <Comments show={(place) => alone ? place.startsWith('steps.') : place === `steps.${step.id}`} />
      {alone ? null : <StepName id={step.id} />}
      {alone ? null : <Connections step={step} />}
      <SchemaForm schema={component.parameters} path={step.path} show={(one) => !one.common} />
      <Reveals rows={rows.length ? rows : usual(component, language)} answer={alone ? answer : null} />
    </>
  );
}

function Comments({ show }: { show: (place: string) => boolean }) {
  const { comments } = useDrawing();
  const said = Object.entries(comments).filter(([place]) => show(place));
  return said.map(([place, text]) => <Alert key={place} type="info" title={text} />);
}

function StepName({ id }: { id: string }) {
  const { t } = useTexts('canvas');
  const { request, catalogue, become, choose } = useDrawing();
  const [name, write] = useState(id);
  useEffect(() => write(id), [id]);
  const leave = () => {
    if (name === id) return;
    const next = renamed(request, id, name, catalogue);
    if (!next) return write(id);
    become(next);
    choose(name);
  };
  return (
    <div className={css['row']}>
      <label htmlFor="step-name" className={css['label']}>
        {t('canvas:step.name')}
      </label>
      <Input
        id="step-name"
        value={name}
        maxLength={63}
        onChange={(event) => write(event.target.value)}
        onBlur={leave}
        onPressEnter={leave}
      />
      <p className={css['hint']}>{t('canvas:step.hint')}</p>
    </div>
  );
}

/** What is revealed to whom, and what it costs. */
function Reveals({ rows, answer }: { rows: readonly Row[]; answer: Checked | null }) {
  const { t } = useTexts('canvas');
  const { language } = useDrawing();
  const cost = answer?.preview?.epsilon;
  const estimate = answer?.preview?.estimate ?? {};
  const { seconds, bytes: traffic } = estimate;
  return (
    <>
      <Divider size="small">{t('canvas:reveals')}</Divider>
      <Learns rows={rows} />
      {cost && typeof cost['job'] === 'number' ? (
        <p>
          {t('canvas:epsilon', {
            value: number(cost['job'], language, 3),
            delta: String(cost['delta'] ?? ''),
          })}
        </p>
      ) : null}
      {typeof seconds === 'number' ? <p>{t('canvas:time', { value: duration(seconds, language) })}</p> : null}
      {typeof traffic === 'number' && traffic > 0 ? (
        <p>{t('canvas:traffic', { value: bytes(traffic, language) })}</p>
      ) : null}
    </>
  );
}

function usual(component: Component, language: 'en' | 'zh'): Row[] {
  return component.learns.map((one) => ({
    who: inWords(one.who, language),
    sees: inWords(one.sees, language),
    why: inWords(one.why, language),
  }));
}

function partOf(step: Step, kind: Component, components: readonly Component[]): Component {
  const { model, program } = step.body;
  const name = isMembers(model) ? model['family'] : isMembers(program) ? program['name'] : '';
  return components.find((one) => one.id === `${step.kind}.${String(name)}`) ?? kind;
}
