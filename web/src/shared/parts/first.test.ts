// @vitest-environment jsdom
import { beforeEach, describe, expect, it } from 'vitest';
import { focusFirst } from './first';

const DIALOG = `
  <input id="behind">
  <div class="ant-modal" id="dialog" tabindex="-1"><input id="name" data-first><input id="id"></div>`;
const focused = () => document.activeElement?.id;

describe('a dialog that has opened', () => {
  beforeEach(() => {
    document.body.innerHTML = DIALOG;
  });

  it.each(['behind', 'dialog'])('takes the focus from %s to its first field', (before) => {
    document.getElementById(before)?.focus();
    focusFirst(true);
    expect(focused()).toBe('name');
  });

  it('leaves it with whoever types in another field already', () => {
    document.getElementById('id')?.focus();
    focusFirst(true);
    expect(focused()).toBe('id');
  });

  it('takes none while it closes', () => {
    document.getElementById('behind')?.focus();
    focusFirst(false);
    expect(focused()).toBe('behind');
  });
});
