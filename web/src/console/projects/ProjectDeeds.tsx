import { useQueryClient } from '@tanstack/react-query';
import { App, Button, Input, Modal, Space } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { http } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { useNow } from '../../shared/parts/Moment';
import type { Project } from '../project';
import { useMe } from '../session';
import { founds, membershipOf, stateOf } from './state';

type Deed = 'accept' | 'decline' | 'leave' | 'thaw' | 'archive';

/** What the caller may do with a project: join or leave it, stop it and go on, end it for good. */
export function ProjectDeeds({ project }: { project: Project }) {
  const { t } = useTexts('projects');
  const me = useMe().data;
  const { modal, message } = App.useApp();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [freezing, freeze] = useState(false);
  const state = stateOf(project, useNow());
  const own = me && membershipOf(project, me.organisation)?.state;
  const admin = me?.roles.includes('organisation-admin') ?? false;
  const operator = me?.roles.includes('platform-admin') ?? false;
  const path = { params: { path: { key: project.id } } };
  const fresh = async () => {
    await queries.invalidateQueries({ queryKey: ['get', '/api/v1/projects/{key}'] });
    await queries.invalidateQueries({ queryKey: ['get', '/api/v1/projects'] });
  };
  const attempt = async (doing: () => Promise<unknown>) => {
    try {
      await doing();
    } catch (error) {
      const { message: said, hint } = asProblem(error);
      message.error([said, hint].filter(Boolean).join(' '));
    }
    await fresh(); // after a refusal too: the project is not as this page shows it
  };
  const deed = (name: Deed) =>
    attempt(async () => {
      if (name === 'accept') return http.POST('/api/v1/projects/{key}/accept', path);
      if (name === 'leave' || name === 'decline') {
        await http.POST('/api/v1/projects/{key}/leave', path);
        return navigate('/projects'); // it is no project of ours any more
      }
      if (name === 'thaw') return http.POST('/api/v1/projects/{key}/thaw', path);
      return http.POST('/api/v1/projects/{key}/archive', path);
    });
  const ask = (name: 'decline' | 'leave' | 'archive') =>
    modal.confirm({
      title: t(`projects:${name}.ask`, { name: project.name }),
      content: t(`projects:${name}.hint`),
      okText: t(`projects:${name}`),
      okButtonProps: { danger: true },
      cancelText: t('projects:cancel'),
      onOk: () => deed(name),
    });
  if (state === 'archived') return null;
  const stops = founds(me, project) || operator;
  return (
    <Space wrap>
      {own === 'invited' && admin ? (
        <>
          <Button type="primary" onClick={() => void deed('accept')}>
            {t('projects:accept')}
          </Button>
          <Button onClick={() => ask('decline')}>{t('projects:decline')}</Button>
        </>
      ) : null}
      {stops && state === 'frozen' ? (
        <Button onClick={() => void deed('thaw')}>{t('projects:thaw')}</Button>
      ) : null}
      {stops && state !== 'frozen' ? (
        <Button onClick={() => freeze(true)}>{t('projects:freeze')}</Button>
      ) : null}
      {founds(me, project) ? (
        <Button danger onClick={() => ask('archive')}>
          {t('projects:archive')}
        </Button>
      ) : null}
      {own === 'active' && admin && me?.organisation !== project.organisation ? (
        <Button danger onClick={() => ask('leave')}>
          {t('projects:leave')}
        </Button>
      ) : null}
      <Freezing
        open={freezing}
        close={() => freeze(false)}
        send={(reason) =>
          attempt(() => http.POST('/api/v1/projects/{key}/freeze', { ...path, body: { reason } }))
        }
      />
    </Space>
  );
}

type FreezingProps = { open: boolean; close: () => void; send: (reason: string) => Promise<void> };

/** Asks why, since every member reads the reason, and stops the project's jobs. */
function Freezing({ open, close, send }: FreezingProps) {
  const { t } = useTexts('projects');
  const [reason, say] = useState('');
  const [busy, work] = useState(false);
  const stop = async () => {
    work(true);
    await send(reason);
    work(false);
    close();
  };
  return (
    <Modal
      open={open}
      title={t('projects:freeze')}
      okText={t('projects:freeze')}
      okButtonProps={{ danger: true }}
      cancelText={t('projects:cancel')}
      confirmLoading={busy}
      onOk={() => void stop()}
      onCancel={close}
      afterClose={() => say('')}
    >
      <p>{t('projects:freeze.hint')}</p>
      <Input
        aria-label={t('projects:freeze.reason')}
        placeholder={t('projects:freeze.reason')}
        maxLength={200}
        value={reason}
        onChange={(event) => say(event.target.value)}
      />
    </Modal>
  );
}
