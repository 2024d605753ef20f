import { Flex, InputNumber, Select } from 'antd';
import { useTexts } from '../../shared/i18n';
import { modelsOf, WHEN } from './conditions';
import type { Step } from './draft';
import { useDrawing } from './drawing';
import css from './Form.module.css';
import { isMembers, type Json } from './json';

const LIMITS = ['at_least', 'at_most'] as const;
type Limit = (typeof LIMITS)[number];

/** By which figure of an evaluation a step runs; nothing where no edge of figures leads to it. */
export function Condition({ step }: { step: Step }) {
  const { t, has } = useTexts('canvas');
  const { catalogue, steps, put } = useDrawing();
  const when = step.body[WHEN];
  if (!isMembers(when)) return null;
  const path = [...step.path, WHEN];
  const limit: Limit = typeof when['at_most'] === 'number' ? 'at_most' : 'at_least';
  const value = when[limit];
  const giver = steps.find((one) => one.id === when['step']);
  const models = giver ? modelsOf(giver) : [];
  const id = `when-${step.id}`;
  const set = (change: Record<string, Json | undefined>) => {
    const { step: from, of, metric, at_least, at_most } = { ...when, ...change };
    const all = { step: from, of, metric, at_least, at_most };
    put(path, Object.fromEntries(Object.entries(all).filter(([, one]) => one !== undefined)) as Json);
  };
  const named = (name: string) => (has(`words:metric.${name}`) ? t(`words:metric.${name}`) : name);
  return (
    <div className={css['row']} role="group" aria-labelledby={`${id}-label`}>
      <span id={`${id}-label`} className={css['label']}>
        {t('canvas:when', { step: text(when['step']) })}
      </span>
      <Flex gap="small" wrap>
        {models.length > 1 ? (
          <Select
            aria-label={t('canvas:when.of')}
            value={text(when['of']) || null}
            options={models.map((one) => ({ value: one, label: one }))}
            onChange={(of: string) => set({ of })}
          />
        ) : null}
        <Select
          aria-label={t('canvas:when.metric')}
          showSearch
          value={text(when['metric'])}
          options={catalogue.conditions.map((one) => ({ value: one, label: named(one) }))}
          onChange={(metric: string) => set({ metric })}
        />
        <Select
          aria-label={t('canvas:when.limit')}
          value={limit}
          options={LIMITS.map((one) => ({ value: one, label: t(`canvas:when.${one}`) }))}
          onChange={(one: Limit) => set({ at_least: undefined, at_most: undefined, [one]: value })}
        />
        <InputNumber
          aria-label={t('canvas:when.value')}
          value={typeof value === 'number' ? value : null}
          step={0.05}
          onChange={(number) => set({ [limit]: number ?? undefined })}
        />
      </Flex>
      <p className={css['hint']}>{t('canvas:when.hint')}</p>
    </div>
  );
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
