/** What an event of a job says, in the reader's words: one line of its log. */
import { shownMetric } from '../models/card';
import type { Say } from '../../shared/i18n';
import type { Language } from '../../shared/preferences';
import { dropsOf, type JobEvent } from './events';
import { partsOf } from './parts';
import { waitingOf } from './waiting';
import { textOfError, hintOfError } from './words';

export type Words = { t: Say; has: (key: string) => boolean; language: Language };
type Data = Record<string, unknown>;

const NO_FIGURE = new Set(['round', 'rounds', 'survivors', 'generation', 'at']);
/** What stands between two parts of a line. */
const APART = '  ';

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function stateWord({ t, has }: Words, name: string): string {
  return has(`words:state.${name}`) ? t(`words:state.${name}`) : name;
}

function metricWord({ t, has }: Words, name: string): string {
  return has(`words:metric.${name}`) ? t(`words:metric.${name}`) : name;
}

function laneWord({ t, has }: Words, name: string): string {
  return has(`jobs:lane.${name}`) ? t(`jobs:lane.${name}`) : name;
}

/** What kind of event it is, in a word. */
export function kindWord(kind: string, { t, has }: Words): string {
  return has(`jobs:log.kind.${kind}`) ? t(`jobs:log.kind.${kind}`) : kind;
}

function state(data: Data, words: Words): string[] {
  return [stateWord(words, text(data['state'])), text(data['reason'])];
}

function party(data: Data, words: Words): string[] {
  return [text(data['party']), laneWord(words, text(data['state']))];
}

function round(data: Data, words: Words): string[] {
  const { t, language } = words;
  const [at, of] = [text(data['round']), text(data['rounds'])];
  const figures = Object.entries(data).flatMap(([name, value]) =>
    NO_FIGURE.has(name) || typeof value !== 'number' || !Number.isFinite(value)
      ? []
      : [`${metricWord(words, name)} ${shownMetric({ name, value }, language)}`],
  );
  return [of === '1' ? '' : t('jobs:log.round', { round: at, rounds: of }), ...figures];
}

function error(data: Data): string[] {
  return [textOfError(data), hintOfError(data)];
}

function dropouts(data: Data, words: Words): string[] {
  return dropsOf([{ id: 0, kind: 'dropouts', at: 0, data }]).map((one) =>
    words.t('jobs:log.dropped', { ...one, reason: one.reason || one.code }),
  );
}

function waiting(data: Data, words: Words): string[] {
  const lines = waitingOf(data).map((one) => [one.party, one.message].filter(Boolean).join(' '));
  return lines.length ? lines : [words.t('jobs:log.nobody')];
}

function part(event: JobEvent, words: Words): string[] {
  const [row] = partsOf([event]);
  if (!row) return [];
  return [row.label || String(row.place), stateWord(words, row.state), row.error, row.job];
}

function parts(event: JobEvent, words: Words): string[] {
  const { kind, data } = event;
  switch (kind) {
    case 'state':
    case 'done':
      return state(data, words);
    case 'party':
      return party(data, words);
    case 'round':
      return round(data, words);
    case 'error':
      return error(data);
    case 'dropouts':
      return dropouts(data, words);
    case 'waiting':
      return waiting(data, words);
    case 'point':
    case 'run':
    case 'step':
      return part(event, words);
    case 'attempt':
      return [stateWord(words, text(data['state']))];
    default:
      return ['party', 'state', 'round', 'message', 'reason'].map((name) => text(data[name]));
  }
}

/** What an event says, in one line; of a kind that is not known what it holds. */
export function lineOf(event: JobEvent, words: Words): string {
  const told = parts(event, words).filter(Boolean);
  return told.length ? told.join(APART) : JSON.stringify(event.data);
}
