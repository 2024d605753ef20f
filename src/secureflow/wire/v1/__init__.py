"""Generated from api/proto/secureflow/wire/v1 by `make proto`; the codec beside it is the way in."""
