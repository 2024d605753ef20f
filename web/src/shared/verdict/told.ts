/** Messages of the verifier in the user's language. */
import catalogue from 'virtual:catalogue';
import type { Language } from '../preferences';
import { OWN } from '../../verify/page/texts';
import { shown } from '../../verify/plain';
import type { Told } from '../../verify/told';

/** A text of the verifier in a language; what it quotes hides nothing. */
export function told(text: Told, language: Language): string {
  if (language === 'en') return shown(text.english);
  return shown(text.in((template) => OWN[template] ?? catalogue[template] ?? template));
}
