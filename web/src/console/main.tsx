import { start } from '../shared/start';
import { pages } from './registry';

await start(pages, () => import('./shell/Shell'));
