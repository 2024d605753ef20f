/** The part of js-yaml that is used here: it comes without types. */
declare module 'js-yaml' {
  export type Schema = { readonly name?: string };
  export const CORE_SCHEMA: Schema;
  export function load(text: string, options?: { schema?: Schema }): unknown;
  export function dump(
    value: unknown,
    options?: { schema?: Schema; lineWidth?: number; noRefs?: boolean; flowLevel?: number },
  ): string;
}
