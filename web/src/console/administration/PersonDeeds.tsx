import { App, Button, Modal, Select, Space } from 'antd';
import { useState } from 'react';
import { http, type Schemas } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { useMe, type Account } from '../session';
import { useDeed } from '../settings/deeds';
import { offered, type Role } from './roles';

const CHANGED = ['/api/v1/users/{key}', '/api/v1/users'];

/** What an administrator does with an account: other roles, no way in, nothing left of it. */
export function PersonDeeds({ person }: { person: Account }) {
  const { t } = useTexts('administration');
  const me = useMe().data;
  const { modal, message } = App.useApp();
  const [editing, edit] = useState(false);
  const path = { params: { path: { key: person.id } } };
  const failed = (error: unknown) => void message.error(asProblem(error).message);
  const change = useDeed(
    (body: Schemas['UserChange']) => http.PATCH('/api/v1/users/{key}', { ...path, body }),
    ...CHANGED,
  );
  const reset = useDeed(
    () => http.DELETE('/api/v1/users/{key}/second-factor', path),
    ...CHANGED,
  );
  const erase = useDeed(() => http.POST('/api/v1/users/{key}/erase', path), ...CHANGED);
  const ask = (name: 'disable' | 'reset' | 'erase', doing: () => Promise<unknown>) =>
    modal.confirm({
      title: t(`administration:${name}.ask`, { name: person.display || person.name }),
      content: t(`administration:${name}.hint`),
      okText: t(`administration:${name}`),
      okButtonProps: { danger: true },
      cancelText: t('administration:cancel'),
      onOk: () => doing().catch(failed),
    });
  const own = person.id === me?.id;
  return (
    <Space wrap>
      <Button onClick={() => edit(true)}>{t('administration:roles.change')}</Button>
      <Button onClick={() => ask('reset', () => reset.mutateAsync(undefined))}>
        {t('administration:reset')}
      </Button>
      {own ? null : person.disabled ? (
        <Button onClick={() => void change.mutateAsync({ disabled: false }).catch(failed)}>
          {t('administration:enable')}
        </Button>
      ) : (
        <Button danger onClick={() => ask('disable', () => change.mutateAsync({ disabled: true }))}>
          {t('administration:disable')}
        </Button>
      )}
      {own ? null : (
        <Button danger onClick={() => ask('erase', () => erase.mutateAsync(undefined))}>
          {t('administration:erase')}
        </Button>
      )}
      {editing ? <Roles person={person} close={() => edit(false)} /> : null}
    </Space>
  );
}

/** Gives an account other roles. */
function Roles({ person, close }: { person: Account; close: () => void }) {
  const { t } = useTexts('administration');
  const [roles, choose] = useState<Role[]>(person.roles);
  const change = useDeed(
    (body: Schemas['UserChange']) =>
      http.PATCH('/api/v1/users/{key}', { params: { path: { key: person.id } }, body }),
    ...CHANGED,
  );
  return (
    <Modal
      open
      title={t('administration:roles.change')}
      okText={t('administration:save')}
      cancelText={t('administration:cancel')}
      okButtonProps={{ disabled: !roles.length }}
      confirmLoading={change.isPending}
      onOk={() => change.mutate({ roles }, { onSuccess: close })}
      onCancel={close}
    >
      <Select<Role[]>
        mode="multiple"
        aria-label={t('administration:roles')}
        style={{ width: '100%' }}
        value={roles}
        onChange={choose}
        options={offered(person.organisation).map((role) => ({
          value: role,
          label: t(`administration:role.${role}`),
        }))}
      />
      {change.isError ? <Failed error={change.error} /> : null}
    </Modal>
  );
}
