"""Generated from api/proto/secureflow/wire/v1 by `make proto`; use it through `wire.codec`."""
