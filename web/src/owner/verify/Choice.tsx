import { Input, Typography } from 'antd';
import { useState, type DragEvent } from 'react';
import { useTexts } from '../../shared/i18n';
import css from './Verify.module.css';

type Props = {
  file: File | null;
  take: (file: File | null) => void;
  spec: (digest: string) => void;
};

/** Which bundle is verified: dropped here or chosen; it never leaves this browser. */
export function Choice({ file, take, spec }: Props) {
  const { t } = useTexts('verifier');
  const [over, hover] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    hover(false);
    take(event.dataTransfer.files[0] ?? null);
  };
  const said = (text: string) => spec(text.trim().toLowerCase());
  return (
    <section
      aria-label={t('verifier:choose')}
      className={over ? `${css['drop']} ${css['over']}` : css['drop']}
      onDragOver={(event) => {
        event.preventDefault();
        hover(true);
      }}
      onDragLeave={() => hover(false)}
      onDrop={drop}
    >
      <p>{t('verifier:drop')}</p>
      <label htmlFor="bundle">{t('verifier:bundle')}</label>
      <input
        id="bundle"
        type="file"
        accept=".json,application/json"
        onChange={(event) => take(event.target.files?.[0] ?? null)}
      />
      {file ? <Typography.Text code>{file.name}</Typography.Text> : null}
      <p>
        <code>secureflow audit export --job JOB</code>
      </p>
      <label htmlFor="spec">{t('verifier:spec')}</label>
      <Input
        id="spec"
        maxLength={64}
        autoComplete="off"
        spellCheck={false}
        style={{ maxWidth: 600 }}
        onBlur={(event) => said(event.target.value)}
        onPressEnter={(event) => said(event.currentTarget.value)}
      />
    </section>
  );
}
