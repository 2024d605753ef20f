import { partsOf } from './bar';
import css from './parts.module.css';

type Props = { first: number; second: number; limit: number | null; label: string };

/** How much of a limit is used, and how much more would be: what is added is hatched. */
export function Bar({ first, second, limit, label }: Props) {
  const parts = partsOf(first, second, limit);
  const room = { x: 0, y: 0, height: 8 };
  return (
    <svg
      className={css['bar']}
      viewBox="0 0 100 8"
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <rect className={css['room']} {...room} width="100" />
      <rect className={css['used']} {...room} width={parts.first} />
      <rect
        className={parts.over ? css['over'] : css['more']}
        {...room}
        x={parts.first}
        width={parts.second}
      />
    </svg>
  );
}
