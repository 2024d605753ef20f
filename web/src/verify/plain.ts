/** Which characters a foreign text may show: the rules of `secureflow.kit.plain`, and of Python. */

/** Control characters, bidirectional controls and default ignorable ones; half surrogate pairs. */
/* oxlint-disable no-control-regex, no-misleading-character-class */
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}\ud800-\udfff]/u;
const ALL_HIDDEN = new RegExp(HIDDEN, 'gu');
/** What Python's `str.isprintable` refuses, the space apart. */
const UNPRINTABLE = /[\p{C}\p{Z}]/u;

/** Tell whether a text contains a character that nobody sees. */
export function hidden(text: string): boolean {
  return HIDDEN.test(text);
}

/** Return a text in which every hidden character is a visible escape. */
export function shown(text: string): string {
  return text.replace(ALL_HIDDEN, (one) => (one === '\n' ? '\\n' : escaped(one)));
}

/** Return the escape of one character: `\x1b`, `\u202e` or `\U000e0001`. */
export function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const digits = code.toString(16);
  if (code <= 0xff) return `\\x${digits.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}

/** Tell whether a character is printable and no space. */
export function isVisible(text: string): boolean {
  return !UNPRINTABLE.test(text);
}
