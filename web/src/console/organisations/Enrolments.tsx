import { useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Card, Flex, List, QRCode, Tag, Typography } from 'antd';
import { useState } from 'react';
import { api, http, type Schemas } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { Moment, useNow } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import { withProof } from '../proof';
import { origin, prefix } from '../../shared/place';
import css from './Enrolments.module.css';

type Enrolment = Schemas['EnrolmentShown'];

/** Tokens with which an organisation's agent is enrolled: made here, shown once, never again. */
export function Enrolments({ organisation }: { organisation: string }) {
  const { t } = useTexts('organisations');
  const { message } = App.useApp();
  const queries = useQueryClient();
  const [made, keep] = useState<Enrolment | null>(null);
  const [busy, work] = useState(false);
  const list = api.useQuery('get', '/api/v1/enrolments', { params: { query: { limit: 200 } } });
  const create = async () => {
    work(true);
    try {
      const body = { kind: 'agent' as const, organisation };
      const { data } = await withProof(() => http.POST('/api/v1/enrolments', { body }));
      keep(data ?? null);
      await queries.invalidateQueries({ queryKey: ['get', '/api/v1/enrolments'] });
    } catch (error) {
      message.error(asProblem(error).message);
    } finally {
      work(false);
    }
  };
  return (
    <Card
      size="small"
      title={t('organisations:enrolments')}
      extra={
        <Button onClick={() => void create()} loading={busy}>
          {t('organisations:enrol')}
        </Button>
      }
    >
      <Flex vertical gap="middle">
        <Typography.Text type="secondary">{t('organisations:enrolments.hint')}</Typography.Text>
        {made ? <Token enrolment={made} /> : null}
        <Answer query={list}>
          {({ items }) => {
            const own = items.filter((one) => one.organisation === organisation);
            return (
              <List<Enrolment>
                size="small"
                locale={{ emptyText: t('organisations:enrolments.none') }}
                dataSource={own}
                rowKey={(one) => one.id}
                renderItem={(one) => <Line enrolment={one} />}
              />
            );
          }}
        </Answer>
      </Flex>
    </Card>
  );
}

function Line({ enrolment }: { enrolment: Enrolment }) {
  const { t } = useTexts('organisations');
  const now = useNow();
  const used = enrolment.used !== null && enrolment.used !== undefined;
  const state = used ? 'used' : enrolment.expires <= now ? 'expired' : 'open';
  const at = used ? (enrolment.used ?? 0) : enrolment.expires;
  return (
    <List.Item>
      <Flex gap="small" align="center" wrap>
        <Tag color={state === 'open' ? 'processing' : 'default'}>
          {t(`organisations:enrolment.${state}`)}
        </Tag>
        <Moment at={at} />
      </Flex>
    </List.Item>
  );
}

/** The token's only showing: as text, as a QR code, and the command that uses it. */
function Token({ enrolment }: { enrolment: Enrolment }) {
  const { t } = useTexts('organisations');
  const command = 'secureflow agent enroll agent --token-file token.txt --server ' + origin() + prefix();
  const start = 'secureflow agent start --config agent/agent.yaml';
  const copy: [string, string] = [t('common:copy'), t('common:copied')];
  return (
    <Alert
      type="info"
      title={t('organisations:token')}
      description={
        <div className={css['token']}>
          <QRCode value={enrolment.token} type="svg" size={180} aria-label={t('organisations:qr')} />
          <div>
            <p>{t('organisations:token.hint')}</p>
            <Typography.Paragraph code copyable={{ text: enrolment.token, tooltips: copy }}>
              {enrolment.token}
            </Typography.Paragraph>
            <p>{t('organisations:token.next')}</p>
            <Typography.Paragraph code copyable={{ text: command, tooltips: copy }}>
              {command}
            </Typography.Paragraph>
            <p>{t('organisations:token.start')}</p>
            <Typography.Paragraph code copyable={{ text: start, tooltips: copy }}>
              {start}
            </Typography.Paragraph>
            <p>
              {t('organisations:token.expires')} <Moment at={enrolment.expires} />
            </p>
          </div>
        </div>
      }
    />
  );
}
