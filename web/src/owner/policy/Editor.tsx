import { useMemo, useRef, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import css from './Editor.module.css';
import { numbered, placeOf } from './lines';

type Props = {
  label: string;
  text: string;
  change: (text: string) => void;
  most: number;
  readOnly?: boolean;
};

/** A text with line numbers; Tab leaves it, as everywhere else on the page. */
export function Editor({ label, text, change, most, readOnly = false }: Props) {
  const { t } = useTexts('policies');
  const numbers = useRef<HTMLPreElement>(null);
  const [at, move] = useState(0);
  const shown = useMemo(() => numbered(text), [text]);
  return (
    <>
      <div className={css['editor']}>
        <pre ref={numbers} aria-hidden="true">
          {shown}
        </pre>
        <textarea
          aria-label={label}
          value={text}
          maxLength={most}
          readOnly={readOnly}
          spellCheck={false}
          wrap="off"
          onChange={(event) => change(event.target.value)}
          onSelect={(event) => move(event.currentTarget.selectionStart)}
          onScroll={(event) => {
            if (numbers.current) numbers.current.scrollTop = event.currentTarget.scrollTop;
          }}
        />
      </div>
      <p className={css['foot']}>{t('policies:place', placeOf(text, at))}</p>
    </>
  );
}
