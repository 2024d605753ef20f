/** The lines of a text in an editor. */

/** How many lines a text has; an empty one has its first. */
export function linesIn(text: string): number {
  return text.split('\n').length;
}

/** The numbers beside the lines, as one text. */
export function numbered(text: string): string {
  return Array.from({ length: linesIn(text) }, (_, place) => place + 1).join('\n');
}

/** In which line and column a place of a text is, counted from one. */
export function placeOf(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
