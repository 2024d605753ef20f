/** Building elements from texts only: nothing foreign is ever read as markup. */

import { shown } from '../plain';

export interface Made {
  readonly class?: string;
  readonly [attribute: string]: string | undefined;
}

/** Return an element with attributes and children; hidden characters of texts are shown. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Made = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.map((one) => (typeof one === 'string' ? shown(one) : one)));
  return made;
}

/** Return a table of texts under a caption. */
export function table(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): HTMLElement {
  const head = make('tr', {}, ...heads.map((one) => make('th', { scope: 'col' }, one)));
  const lines = rows.map((row) => make('tr', {}, ...row.map((one) => make('td', {}, one))));
  const body = make('table', {}, make('caption', {}, caption), make('thead', {}, head),
    make('tbody', {}, ...lines));
  return make('div', { class: 'wide', role: 'region', 'aria-label': caption, tabindex: '0' }, body);
}
