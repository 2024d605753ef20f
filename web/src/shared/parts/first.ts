/**
 * Where the cursor is when a dialog has opened: in its field marked `data-first`.
 *
 * `autoFocus` alone is lost where nothing moves (prefers-reduced-motion): the field is made before
 * the dialog is in the document, and the dialog itself would have the focus.
 */
export function focusFirst(open: boolean): void {
  if (!open) return;
  const fields = document.querySelectorAll<HTMLElement>('.ant-modal [data-first]');
  fields.item(fields.length - 1)?.focus();
}
