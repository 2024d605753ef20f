/**
 * Texts for people: English that remembers its template and facts, so that it can be translated.
 *
 * The templates are those of the Python verifier (`secureflow.kit.text.Text`): both say the same
 * words, and both find the Chinese in one catalogue, by the template.
 */

export type Fact = string | number | bigint | Told;

/** A field: Python's `!r:.80` is the caller's, who gives the value as it is spelled. */
const FIELD = /\{(\w+)(?:!r(?::\.\d+)?)?\}/g;

/** A text with its template and facts; without facts the template is the text. */
export class Told {
  readonly english: string;

  constructor(
    readonly template: string,
    readonly facts: Readonly<Record<string, Fact>> = {},
  ) {
    this.english = this.filled(template, (fact) => fact.english);
  }

  /** Return the text in another language; `translate` gives the translation of a template. */
  in(translate: (template: string) => string): string {
    return this.filled(translate(this.template), (fact) => fact.in(translate));
  }

  private filled(template: string, spell: (fact: Told) => string): string {
    if (Object.keys(this.facts).length === 0) return template;
    return template.replace(FIELD, (_, name: string) => {
      const fact = this.facts[name];
      if (fact === undefined) throw new Error(`no fact for {${name}} of ${template}`);
      return fact instanceof Told ? spell(fact) : String(fact);
    });
  }
}

/** Return a text of our own; `facts` fill in its template. */
export function told(template: string, facts: Readonly<Record<string, Fact>> = {}): Told {
  return new Told(template, facts);
}

/** The refusal of a malformed input: a code of the catalogue, and what is wrong. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly told: Told,
  ) {
    super(told.english);
  }
}
