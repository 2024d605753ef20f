"""Each port met by one real technology; the embedded default beside the production one."""
