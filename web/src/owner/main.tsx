import { start } from '../shared/start';
import { silenceMeans } from '../shared/states/Failed';
import { noteTouches } from './attended';
import { pages } from './registry';

silenceMeans('page');
noteTouches(window);
await start(pages, () => import('./shell/Shell'));
