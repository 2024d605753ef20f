import { UserOutlined } from '@ant-design/icons';
import { Button, Dropdown, type MenuProps } from 'antd';

type Props = {
  /** Who is logged in. */
  who: string;
  label: string;
  items: NonNullable<MenuProps['items']>;
  chosen: (key: string) => void;
  /** The words of the way out, which comes last (`leave`). */
  leave: string;
};

/** Who is logged in, what the person may do with that, and the way out. */
export function PersonMenu({ who, label, items, chosen, leave }: Props) {
  return (
    <Dropdown
      trigger={['click']}
      menu={{
        onClick: ({ key }) => chosen(key),
        items: [...items, { type: 'divider' }, { key: 'leave', label: leave }],
      }}
    >
      <Button type="text" icon={<UserOutlined />} aria-label={label}>
        {who}
      </Button>
    </Dropdown>
  );
}
