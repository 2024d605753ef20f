const WRITTEN_IN = ['input', 'textarea', 'select', '[contenteditable]']
  .map((one) => `.ant-modal ${one}`)
  .join();

/**
 * Where the cursor is when a dialog has opened: in its field marked `data-first`.
 *
 * `autoFocus` alone is lost where nothing moves (prefers-reduced-motion): the field is made before
 * the dialog is in the document, and the dialog itself would have the focus. Who is in a field
 * already stays there: a dialog takes a moment to open, and what is being typed goes nowhere else.
 */
export function focusFirst(open: boolean): void {
  if (!open || document.activeElement?.matches(WRITTEN_IN)) return;
  const fields = document.querySelectorAll<HTMLElement>('.ant-modal [data-first]');
  fields.item(fields.length - 1)?.focus();
}
