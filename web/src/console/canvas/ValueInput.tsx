import { Flex, Input, InputNumber, Select, Switch } from 'antd';
import { useTexts } from '../../shared/i18n';
import { number } from '../../shared/format';
import { inWords, type Words } from './catalogue';
import { inputId, useDrawing } from './drawing';
import css from './Form.module.css';
import { dotted, isMembers, type Json, type Path } from './json';
import { ItemList } from './ItemList';
import { JsonInput } from './JsonInput';
import { MapInput } from './MapInput';
import { PickInput, PickList, TimeInput } from './PickInput';
import { SchemaForm } from './SchemaForm';
import { bareSchema, type Field, type Shape } from './schema';
import { Taken } from './Taken';
import { VariantInput } from './VariantInput';

/** Smaller bounds are told as 0: the centre knows the exact ones. */
const TINY = 1e-6;

type Props = { field: Field; shape: Shape; path: Path; value: Json | undefined; title: string };

/** The input for a value, by its shape. */
export function ValueInput(props: Props) {
  const { field, shape, path, value } = props;
  const { put } = useDrawing();
  if (isMembers(value) && typeof value['step'] === 'string' && field.picks !== '') {
    return <Taken path={path} from={value['step']} />;
  }
  switch (shape.is) {
    case 'object':
      return (
        <div className={css['inner']}>
          <SchemaForm schema={bareSchema(field.schema)} path={path} />
        </div>
      );
    case 'variants':
      return <VariantInput {...props} variants={shape.variants} />;
    case 'choice':
    case 'choices':
      return <ChoiceInput {...props} options={shape.options} many={shape.is === 'choices'} />;
    case 'list':
      return <ItemList field={field} item={shape.item} path={path} value={value} title={props.title} />;
    case 'words':
      return <PickList {...props} whole={shape.whole} />;
    case 'map':
      return <MapInput field={field} schema={shape.value} path={path} value={value} />;
    case 'tuple':
      return <TupleInput {...props} items={shape.items.length} />;
    case 'json':
      return <JsonInput id={inputId(path)} value={value} change={(one) => put(path, one)} />;
    default:
      return <ScalarInput {...props} />;
  }
}

function ScalarInput({ field, shape, path, value }: Props) {
  const { put, language } = useDrawing();
  const id = inputId(path);
  const usual = field.usual;
  if (shape.is === 'flag') {
    return (
      <div>
        <Switch id={id} checked={(value ?? usual) === true} onChange={(one) => put(path, one)} />
      </div>
    );
  }
  if (field.picks === 'time') return <TimeInput path={path} value={value} />;
  if (shape.is === 'number') {
    const least = shape.least === undefined || shape.least > TINY ? shape.least : Math.min(0, shape.least);
    const placeholder = typeof usual === 'number' ? String(usual) : range(shape, language);
    return (
      <InputNumber
        id={id}
        className={css['wide'] ?? ''}
        value={typeof value === 'number' ? value : null}
        {...(least === undefined ? {} : { min: least })}
        {...(shape.most === undefined ? {} : { max: shape.most })}
        {...(shape.whole ? { precision: 0 } : {})}
        placeholder={placeholder}
        onChange={(one) => put(path, one ?? undefined)}
      />
    );
  }
  const text = typeof value === 'string' ? value : '';
  if (field.picks) return <PickInput field={field} path={path} value={text} />;
  return (
    <Input
      id={id}
      value={text}
      placeholder={typeof usual === 'string' ? usual : ''}
      onChange={(event) => put(path, event.target.value || undefined)}
    />
  );
}

function range(shape: { least?: number; most?: number }, language: 'en' | 'zh'): string {
  const { least, most } = shape;
  if (least === undefined || most === undefined || most > 1e9) return '';
  return `${number(least, language, 6)} – ${number(most, language, 6)}`;
}

type Option = { value: Json; words: Words | null };

function ChoiceInput({ field, path, value, options, many }: Props & { options: Option[]; many: boolean }) {
  const { t } = useTexts('canvas');
  const { put, language } = useDrawing();
  const offered = options.map((one) => ({
    value: String(one.value),
    label: inWords(one.words ?? undefined, language) || String(one.value),
    whole: one.value,
  }));
  const usual = offered.find((one) => one.whole === field.usual)?.label;
  const common = {
    id: inputId(path),
    className: css['wide'] ?? '',
    options: offered,
    placeholder: usual ? t('canvas:usual', { value: usual }) : '',
    allowClear: !field.required,
    showSearch: { optionFilterProp: 'label' },
  };
  if (many) {
    const listed = Array.isArray(value) ? value.map(String) : [];
    return (
      <Select
        {...common}
        mode="multiple"
        value={listed}
        onChange={(chosen: string[]) => put(path, chosen.length ? chosen : undefined)}
      />
    );
  }
  return (
    <Select
      {...common}
      value={value === undefined || value === null ? null : String(value)}
      onChange={(one: string | null | undefined) =>
        put(path, offered.find((each) => each.value === one)?.whole)
      }
    />
  );
}

function TupleInput({ path, value, items, title }: Props & { items: number }) {
  const { t } = useTexts('canvas');
  const { put } = useDrawing();
  const listed = Array.isArray(value) ? value : [];
  const set = (index: number, one: number | null) => {
    const next = Array.from({ length: items }, (_, at) => (at === index ? one : (listed[at] ?? null)));
    put(path, next.every((each) => each === null) ? undefined : next);
  };
  return (
    <Flex gap="small" role="group" aria-label={title} key={dotted(path)}>
      {Array.from({ length: items }, (_, index) => (
        <InputNumber
          key={index}
          id={index === 0 ? inputId(path) : `${inputId(path)}-${index}`}
          aria-label={t(index === 0 ? 'canvas:from.of' : 'canvas:to.of', { name: title })}
          value={typeof listed[index] === 'number' ? listed[index] : null}
          onChange={(one) => set(index, one)}
        />
      ))}
    </Flex>
  );
}
