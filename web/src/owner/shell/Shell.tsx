import { Outlet } from 'react-router';

/** The frame around every page of an owner's agent. */
export default function Shell() {
  return (
    <main id="main" tabIndex={-1}>
      <Outlet />
    </main>
  );
}
