import { Input } from 'antd';
import { useEffect, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import css from './Form.module.css';
import type { Json } from './json';

type Props = {
  id: string;
  value: Json | undefined;
  change: (value: Json | undefined) => void;
  label?: string;
};

function told(value: Json | undefined): string {
  return value === undefined ? '' : JSON.stringify(value, null, 1);
}

/** A value that has no form of its own, as JSON; taken over when it can be read. */
export function JsonInput({ id, value, change, label }: Props) {
  const { t } = useTexts('canvas');
  const [text, write] = useState(() => told(value));
  const [wrong, mark] = useState(false);
  const said = told(value);
  useEffect(() => write(said), [said]);
  const leave = () => {
    try {
      change(text.trim() ? (JSON.parse(text) as Json) : undefined);
      mark(false);
    } catch {
      mark(true);
    }
  };
  return (
    <>
      <Input.TextArea
        id={id}
        {...(label ? { 'aria-label': label } : {})}
        rows={Math.min(12, text.split('\n').length + 1)}
        value={text}
        status={wrong ? 'error' : ''}
        onChange={(event) => write(event.target.value)}
        onBlur={leave}
      />
      {wrong ? <p className={css['problem']}>{t('canvas:json.wrong')}</p> : null}
    </>
  );
}
