import { Select } from 'antd';
import { useTexts } from '../../shared/i18n';
import { inWords } from './catalogue';
import { inputId, useDrawing } from './drawing';
import css from './Form.module.css';
import type { Json, Path } from './json';
import { fieldOf, shapeOf, type Field, type Variant } from './schema';
import { variantOf } from './variants';
import { ValueInput } from './ValueInput';

const NOTHING = '\u0000';
const TYPES = new Set(['number', 'integer', 'string', 'array', 'boolean']);

type Props = {
  field: Field;
  path: Path;
  value: Json | undefined;
  title: string;
  variants: Variant[];
};

/** One of several forms: which one, and below it the form itself. */
export function VariantInput({ field, path, value, title, variants }: Props) {
  const { t } = useTexts('canvas');
  const { catalogue, language, put } = useDrawing();
  const now = variantOf(value, variants, catalogue);
  const word = (one: Variant) =>
    inWords(one.label ?? undefined, language) ||
    (TYPES.has(one.key) ? t(`canvas:type.${one.key}`) : one.key);
  const options = variants.map((one) => ({ value: one.key, label: word(one) }));
  const nothing = field.nullable && field.usual !== null;
  if (nothing) options.unshift({ value: NOTHING, label: t('canvas:nothing') });
  const choose = (key: string | null | undefined) => {
    if (key === NOTHING) put(path, null);
    else put(path, variants.find((one) => one.key === key)?.first);
  };
  const shown = value === null && nothing ? NOTHING : (now?.key ?? null);
  const inner = now ? shapeOf(now.schema, catalogue) : null;
  const fixed = inner === null || inner.is === 'choice';
  return (
    <>
      <Select
        id={now && !fixed && inner.is !== 'object' ? `${inputId(path)}-which` : inputId(path)}
        className={css['wide'] ?? ''}
        options={options}
        value={shown}
        allowClear={!field.required}
        aria-label={title}
        showSearch={{ optionFilterProp: 'label' }}
        placeholder={t('canvas:choose')}
        onChange={choose}
      />
      {now && !fixed ? (
        <ValueInput
          field={{ ...fieldOf('', now.schema, field), picks: field.picks }}
          shape={inner}
          path={path}
          value={value}
          title={title}
        />
      ) : null}
    </>
  );
}
