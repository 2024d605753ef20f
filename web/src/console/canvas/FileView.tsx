import { Alert, Button, Flex, Input } from 'antd';
import { useEffect, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import css from './Canvas.module.css';
import { read, reason, written } from './files';
import type { Members } from './json';

type Props = { request: Members; become: (request: Members) => void };

/** The draft as the job file that it is: to be read, copied, changed. */
export function FileView({ request, become }: Props) {
  const { t } = useTexts('canvas');
  const [text, write] = useState('');
  const [wrong, mark] = useState('');
  useEffect(() => {
    let here = true;
    void written(request).then((said) => here && write(said));
    return () => {
      here = false;
    };
  }, [request]);
  const take = () =>
    read(text).then(
      (next) => {
        mark('');
        become(next);
      },
      (error: unknown) => mark(reason(error, t)),
    );
  return (
    <Flex vertical gap="small" className={css['list'] ?? ''}>
      <Input.TextArea
        aria-label={t('canvas:view.file')}
        value={text}
        onChange={(event) => write(event.target.value)}
        rows={18}
        spellCheck={false}
        className={css['file'] ?? ''}
      />
      {wrong ? <Alert type="error" showIcon title={t('canvas:file.unread', { why: wrong })} /> : null}
      <Button onClick={() => void take()}>{t('canvas:file.take')}</Button>
    </Flex>
  );
}
