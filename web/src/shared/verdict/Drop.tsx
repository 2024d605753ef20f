import { Input } from 'antd';
import { useState, type DragEvent, type ReactNode } from 'react';
import css from './Drop.module.css';

type Props = {
  /** What is chosen here. */
  label: string;
  hint: string;
  dropped: (files: readonly File[]) => void;
  children: ReactNode;
};

/** Where files are dropped, or chosen by what stands in it; they never leave this browser. */
export function Drop({ label, hint, dropped, children }: Props) {
  const [over, hover] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    hover(false);
    dropped([...event.dataTransfer.files]);
  };
  return (
    <section
      aria-label={label}
      className={over ? `${css['drop']} ${css['over']}` : css['drop']}
      onDragOver={(event) => {
        event.preventDefault();
        hover(true);
      }}
      onDragLeave={() => hover(false)}
      onDrop={drop}
    >
      <p>{hint}</p>
      {children}
    </section>
  );
}

type OneFile = { id: string; label: string; chosen: (file: File | undefined) => void };

/** A field for one JSON file. */
export function FileField({ id, label, chosen }: OneFile) {
  return (
    <div>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="file"
        accept=".json,application/json"
        onChange={(event) => chosen(event.target.files?.[0])}
      />
    </div>
  );
}

type Digest = { id: string; label: string; said: (digest: string) => void };

/** A field for the digest that a job's spec must have. */
export function SpecField({ id, label, said }: Digest) {
  const say = (text: string) => said(text.trim().toLowerCase());
  return (
    <div>
      <label htmlFor={id}>{label}</label>
      <Input
        id={id}
        maxLength={64}
        autoComplete="off"
        spellCheck={false}
        style={{ maxWidth: 600 }}
        onBlur={(event) => say(event.target.value)}
        onPressEnter={(event) => say(event.currentTarget.value)}
      />
    </div>
  );
}
