import { Form, Modal, type FormInstance } from 'antd';
import type { ReactNode } from 'react';
import { Failed } from '../states/Failed';
import { focusFirst } from './first';

/** What sends the form, as react-query tells of it. */
type Sending = { isPending: boolean; isError: boolean; error: unknown; reset: () => void };

type Props<Values> = {
  open: boolean;
  close: () => void;
  title: string;
  /** The words of the button that sends it, and of the one that does not. */
  ok: string;
  cancel: string;
  form: FormInstance<Values>;
  /** Tells the fields of two dialogs of a page apart. */
  name?: string;
  sending: Sending;
  send: (values: Values) => void;
  /** What its fields begin with; without it they are empty. */
  begins?: Partial<Values>;
  children: ReactNode;
};

/** A dialog with a form: it is empty each time, and says below its fields what went wrong. */
export function FormDialog<Values extends object>(given: Props<Values>) {
  const { open, close, title, ok, cancel, form, name, sending, send, begins, children } = given;
  return (
    <Modal
      open={open}
      title={title}
      okText={ok}
      cancelText={cancel}
      onOk={() => form.submit()}
      onCancel={close}
      confirmLoading={sending.isPending}
      afterClose={() => sending.reset()}
      afterOpenChange={focusFirst}
      destroyOnHidden
    >
      <Form<Values>
        form={form}
        {...(name ? { name } : {})}
        {...(begins ? { initialValues: begins } : {})}
        layout="vertical"
        requiredMark={false}
        preserve={false}
        clearOnDestroy
        autoComplete="off"
        onFinish={send}
      >
        {children}
        {sending.isError ? <Failed error={sending.error} /> : null}
      </Form>
    </Modal>
  );
}
