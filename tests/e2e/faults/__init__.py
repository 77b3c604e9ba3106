"""What a relay must stand: each fault with real processes and real files, judged by two ledgers (see `tests.support.ledger`)."""
