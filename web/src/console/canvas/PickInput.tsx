import { AutoComplete, DatePicker, Select } from 'antd';
import dayjs from 'dayjs';
import { useTexts } from '../../shared/i18n';
import { inputId, useDrawing } from './drawing';
import css from './Form.module.css';
import { isMembers, type Json, type Path } from './json';
import type { Field } from './schema';
import { Taken } from './Taken';

/** Offered values come first; whoever knows another one may write it. */
export function PickInput({ field, path, value }: { field: Field; path: Path; value: string }) {
  const { picks, put } = useDrawing();
  const options = picks[field.picks] ?? [];
  const common = { id: inputId(path), className: css['wide'] ?? '', options };
  if (field.picks === 'project') {
    return (
      <Select
        {...common}
        showSearch={{ optionFilterProp: 'label' }}
        value={value || null}
        onChange={(one: string) => put(path, one)}
      />
    );
  }
  return (
    <AutoComplete
      {...common}
      value={value}
      showSearch={{
        filterOption: (text, one) =>
          text === value || `${one?.label} ${one?.value}`.toLowerCase().includes(text.toLowerCase()),
      }}
      onChange={(one: string) => put(path, one || undefined)}
    />
  );
}

/** A moment, kept in seconds since 1970. */
export function TimeInput({ path, value }: { path: Path; value: Json | undefined }) {
  const { put } = useDrawing();
  return (
    <DatePicker
      id={inputId(path)}
      showTime
      value={typeof value === 'number' ? dayjs.unix(value) : null}
      onChange={(day) => put(path, day ? day.unix() : undefined)}
    />
  );
}

type ListProps = {
  field: Field;
  path: Path;
  value: Json | undefined;
  title: string;
  whole: 'text' | 'number';
};

/** Several texts or numbers; those that come from other steps stand before them. */
export function PickList({ field, path, value, whole }: ListProps) {
  const { t } = useTexts('canvas');
  const { picks, put } = useDrawing();
  const listed = Array.isArray(value) ? value : [];
  const taken = listed.filter((one) => isMembers(one));
  const plain = listed.filter((one) => !isMembers(one)).map(String);
  const only = field.picks === 'dataset';
  const read = (said: string[]): Json[] =>
    whole === 'text' ? said : said.map(Number).filter((one) => Number.isFinite(one));
  return (
    <>
      {listed.map((one, index) =>
        isMembers(one) ? <Taken key={index} path={[...path, index]} from={String(one['step'])} /> : null,
      )}
      <Select
        id={inputId(path)}
        className={css['wide'] ?? ''}
        mode={only ? 'multiple' : 'tags'}
        options={picks[field.picks] ?? []}
        showSearch={{ optionFilterProp: 'label' }}
        value={plain}
        tokenSeparators={only ? [] : [',', '，', '、']}
        placeholder={t(only ? 'canvas:choose' : 'canvas:write')}
        onChange={(said: string[]) => {
          const next = [...taken, ...read(said)];
          put(path, next.length || field.required ? next : undefined);
        }}
      />
    </>
  );
}
