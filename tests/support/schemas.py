"""A spool as an older version would have written it.

In: the path of a closed spool, a schema version. Out: the same rows under the older schema, without the columns and tables that came later.
Never: a spool that a relay has open.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from qboxrelay.spool.sqlite.fresh import line_up
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.statements import load_migrations, load_statements

NEWEST = load_migrations("sqlite")[-1][0]


def back_to_schema(path: Path, version: int) -> None:
    line_up_all(path)
    newer = path.with_suffix(".newer")
    path.rename(newer)
    for suffix in ("-wal", "-shm"):
        if (beside := Path(f"{path}{suffix}")).exists():
            beside.rename(f"{newer}{suffix}")
    with closing(sqlite3.connect(path)) as old:
        old.executescript("PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
        for number, script in load_migrations("sqlite"):
            if number <= version:
                old.executescript(f"{script} PRAGMA user_version = {number};")
        old.execute("ATTACH ? AS newer", (str(newer),))
        tables = [name for (name,) in old.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
        for table in tables:
            columns = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})"))
            old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
        old.commit()


def line_up_all(path: Path) -> None:
    """Give what came in last its rows, as an operator's command does."""
    sql = load_statements("sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        transaction = Transaction(connection)
        line_up(sql, transaction)
        transaction.store_depth(Many(sql["add_depth"]))
        connection.execute("COMMIT")


def set_schema(path: Path, version: int) -> None:
    """Only the number, as if another version had written the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
