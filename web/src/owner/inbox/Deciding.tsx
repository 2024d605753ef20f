import { Button, Form, Input } from 'antd';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import css from './Request.module.css';

type Decision = Schemas['Decision'];
export type Way = 'approve' | 'reject' | 'ask';
export type Done = { way: Way; signed: boolean; second: boolean; refused: string };

const STALE = ['/api/inbox', '/api/overview', '/api/activity', '/api/running'];
const REASON = 2000;

type Props = {
  decision: Decision;
  changed: boolean;
  done: (what: Done) => void;
  fresh: () => Promise<void>;
};

/** Approve exactly what is shown, reject it with a reason that its submitter reads, or ask back. */
export function Deciding({ decision, changed, done, fresh }: Props) {
  const { t } = useTexts('inbox');
  const decider = useMay('decider');
  if (decision.summary.state !== 'waiting' || decision.mine) return null;
  if (!decision.decides) {
    return (
      <Section title={t('inbox:decision')}>
        <p>{t(decider ? 'inbox:cannot' : 'inbox:cannot.role')}</p>
      </Section>
    );
  }
  const given = { decision, changed, done, fresh };
  return (
    <div className={css['deciding']}>
      <Section title={t('inbox:decision')}>
        <OneWay way="approve" most={REASON} {...given} />
        <OneWay way="reject" most={REASON} {...given} />
        {decision.asks ? (
          <OneWay way="ask" most={decision.longest_question} {...given} />
        ) : (
          <p className={css['way']}>{t('inbox:ask.not')}</p>
        )}
      </Section>
    </div>
  );
}

function useWay(way: Way, item: string, seen: string) {
  const params = { path: { item } };
  return useDeed(async (text: string): Promise<Done> => {
    const said = { way, signed: false, second: false, refused: '' };
    if (way === 'ask') {
      await http.POST('/api/inbox/{item}/ask', { params, body: { seen, question: text } });
      return said;
    }
    if (way === 'reject') {
      const body = { seen, reason: text };
      await http.POST('/api/inbox/{item}/reject', { params, body });
      return said;
    }
    const body = { seen, note: text };
    const { data } = await http.POST('/api/inbox/{item}/approve', { params, body });
    return { ...said, ...data! };
  }, ...STALE);
}

type OneWay = Props & { way: Way; most: number };

function OneWay({ way, most, decision, changed, done, fresh }: OneWay) {
  const { t } = useTexts('inbox');
  const [form] = Form.useForm<{ text?: string }>();
  const deed = useWay(way, decision.summary.id, decision.seen);
  const send = ({ text }: { text?: string }) =>
    deed.mutate((text ?? '').trim(), {
      onSuccess: (what) => {
        form.resetFields();
        done(what);
      },
      onError: (error) => {
        if (asProblem(error).code === 'request_changed') void fresh();
      },
    });
  const free = way === 'approve';
  const needed = { required: true, whitespace: true, message: t(`inbox:missing.${way}`) };
  return (
    <Form
      form={form}
      name={way}
      layout="vertical"
      requiredMark={false}
      onFinish={send}
      className={css['way'] ?? ''}
    >
      <Form.Item
        name="text"
        label={t(`inbox:label.${way}`)}
        rules={free ? [] : [needed]}
      >
        <Input.TextArea maxLength={most} rows={2} />
      </Form.Item>
      {deed.isError ? (
        <Form.Item>
          <Failed error={deed.error} />
        </Form.Item>
      ) : null}
      <Button
        htmlType="submit"
        loading={deed.isPending}
        disabled={changed}
        {...(free ? { type: 'primary' as const } : {})}
        danger={way === 'reject'}
      >
        {t(`inbox:do.${way}`)}
      </Button>
    </Form>
  );
}
