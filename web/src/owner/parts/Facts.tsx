import type { ReactNode } from 'react';
import css from './parts.module.css';

type Fact = { label: ReactNode; value: ReactNode; warns?: boolean };

/** What is known of something, line by line; what does not apply is left out. */
export function Facts({ facts }: { facts: readonly Fact[] }) {
  const there = facts.filter(({ value }) => value !== '' && value !== null && value !== undefined);
  if (!there.length) return null;
  return (
    <dl className={css['facts']}>
      {there.map(({ label, value, warns }, place) => (
        <div key={place}>
          <dt>{label}</dt>
          <dd className={warns ? css['bad'] : undefined}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
