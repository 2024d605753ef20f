import { BellOutlined } from '@ant-design/icons';
import { useQueryClient } from '@tanstack/react-query';
import { Badge, Button, Popover } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import css from './Shell.module.css';

type Notice = Schemas['NotificationShown'];

/** How many notifications are unread, and the newest of them. */
export function Bell() {
  const { t } = useTexts('shell');
  const [open, setOpen] = useState(false);
  const unread = api.useQuery('get', '/api/v1/notifications/unread');
  const count = unread.data?.unread ?? 0;
  const label = count ? t('shell:bell.unread', { count }) : t('shell:bell');
  return (
    <Popover
      trigger="click"
      placement="bottomRight"
      getPopupContainer={(trigger) => trigger.parentElement ?? document.body}
      open={open}
      onOpenChange={setOpen}
      title={t('shell:bell')}
      content={open ? <Notices close={() => setOpen(false)} /> : null}
    >
      <Badge count={count} size="small" overflowCount={99}>
        <Button type="text" icon={<BellOutlined />} aria-label={label} aria-expanded={open} />
      </Badge>
    </Popover>
  );
}

function Notices({ close }: { close: () => void }) {
  const { t } = useTexts('shell');
  const queries = useQueryClient();
  const list = api.useQuery('get', '/api/v1/notifications', { params: { query: { limit: 20 } } });
  const fresh = () => {
    for (const path of ['/api/v1/notifications', '/api/v1/notifications/unread']) {
      void queries.invalidateQueries({ queryKey: ['get', path] });
    }
  };
  const readAll = api.useMutation('post', '/api/v1/notifications/read', { onSuccess: fresh });
  const readOne = api.useMutation('post', '/api/v1/notifications/{key}/read', { onSuccess: fresh });
  const follow = (one: Notice) => {
    if (one.read === null) readOne.mutate({ params: { path: { key: one.id } } });
    close();
  };
  return (
    <div className={css['panel']}>
      <Answer
        query={list}
        empty={{ when: (page) => !page.items.length, show: <Empty title={t('shell:bell.none')} /> }}
      >
        {(page) => (
          <>
            <ul className={css['notices']}>
              {page.items.map((one) => (
                <li key={one.id} className={one.read === null ? css['unread'] : undefined}>
                  <Link to={one.link || '/'} onClick={() => follow(one)}>
                    {one.text}
                  </Link>{' '}
                  <span className={css['quiet']}>
                    <Moment at={one.at} />
                  </span>
                </li>
              ))}
            </ul>
            <Button type="link" onClick={() => readAll.mutate({})} loading={readAll.isPending}>
              {t('shell:bell.read')}
            </Button>
          </>
        )}
      </Answer>
    </div>
  );
}
