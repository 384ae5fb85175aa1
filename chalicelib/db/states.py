"""What an error of the database means for the work that met it: PostgreSQL's SQLSTATEs (documentation, appendix A) as one table.

A row is for a whole class (two characters) or for one state (five), which then counts before its class. The question behind each row:
would the same work succeed once the database is well? Then it is the database's state, and nothing may be held against the work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa

DEADLOCK = "40P01"
UNIQUE_VIOLATION = "23505"


class Kind(Enum):
    """What follows from an error."""

    AWAY = "the database can't work now: raised and not counted; HTTP 503 with Retry-After"
    SLOW = "too much or too long just now: tried again in parts; alone as AWAY, but the others go on"
    FAULT = "the work's own fault, or none that waiting cures: narrowed down, counted, then a dead letter; HTTP 500"


@dataclass(frozen=True)
class State:
    """A class of SQLSTATEs or a single one, by its condition name, and why it is of its kind."""

    code: str
    name: str
    kind: Kind
    reason: str


AWAY, SLOW, FAULT = Kind.AWAY, Kind.SLOW, Kind.FAULT

STATES = (
    State("00", "successful_completion", FAULT, "no error; one that says so is a bug"),
    State("01", "warning", FAULT, "no error, unless a function of ours raises it"),
    State("02", "no_data", FAULT, "no error, unless a function of ours raises it"),
    State("03", "sql_statement_not_yet_complete", FAULT, "a statement that is wrong"),
    State("08", "connection_exception", AWAY, "the connection broke or was never made"),
    State("09", "triggered_action_exception", FAULT, "a trigger refuses this very row"),
    State("0A", "feature_not_supported", FAULT, "a statement that no waiting makes possible"),
    State("0B", "invalid_transaction_initiation", FAULT, "a statement that is wrong"),
    State("0F", "locator_exception", FAULT, "a statement that is wrong"),
    State("0L", "invalid_grantor", FAULT, "no statement of the running service grants anything"),
    State("0P", "invalid_role_specification", AWAY, "the role is missing or being changed: so for all work alike"),
    State("0Z", "diagnostics_exception", FAULT, "a function that is wrong"),
    State("10", "xquery_error", FAULT, "a statement that is wrong"),
    State("20", "case_not_found", FAULT, "a function that is wrong for this value"),
    State("21", "cardinality_violation", FAULT, "these rows are not what the statement expects"),
    State("22", "data_exception", FAULT, "a value that the type or function doesn't take"),
    State("22001", "string_data_right_truncation", FAULT, "a value that is too long"),
    State("22003", "numeric_value_out_of_range", FAULT, "a number that is too large"),
    State("22008", "datetime_field_overflow", FAULT, "a time that there isn't"),
    State("22012", "division_by_zero", FAULT, "a value that the statement doesn't expect"),
    State("22021", "character_not_in_repertoire", FAULT, "a text that the encoding doesn't have"),
    State("22023", "invalid_parameter_value", FAULT, "a value that the function doesn't take"),
    State("22P02", "invalid_text_representation", FAULT, "a value that is none of its type"),
    State("22P05", "untranslatable_character", FAULT, "a text that the encoding doesn't have"),
    State("23", "integrity_constraint_violation", FAULT, "a constraint refuses this very row"),
    State("23502", "not_null_violation", FAULT, "a constraint refuses this very row"),
    State("23503", "foreign_key_violation", FAULT, "a constraint refuses this very row"),
    State("23505", "unique_violation", FAULT, "a constraint refuses this very row"),
    State("23514", "check_violation", FAULT, "a constraint refuses this very row"),
    State("24", "invalid_cursor_state", FAULT, "a statement that is wrong"),
    State("25", "invalid_transaction_state", FAULT, "statements in a wrong order"),
    State("25006", "read_only_sql_transaction", AWAY, "a replica after a failover, or an operator or RDS forbids writing"),
    State("25P03", "idle_in_transaction_session_timeout", AWAY, "this process stood still, frozen or starved; the session is gone"),
    State("25P04", "transaction_timeout", SLOW, "the transaction took too long; a smaller one may not"),
    State("26", "invalid_sql_statement_name", AWAY, "a pooler gave the parts of a statement to different servers; nothing was done"),
    State("27", "triggered_data_change_violation", FAULT, "a trigger and this row disagree"),
    State("28", "invalid_authorization_specification", AWAY, "a password or pg_hba.conf that is being changed: so for all work alike"),
    State("2B", "dependent_privilege_descriptors_still_exist", FAULT, "no statement of the running service drops anything"),
    State("2D", "invalid_transaction_termination", FAULT, "a function that is wrong"),
    State("2F", "sql_routine_exception", FAULT, "a function that is wrong"),
    State("34", "invalid_cursor_name", FAULT, "a statement that is wrong"),
    State("38", "external_routine_exception", FAULT, "a function that is wrong"),
    State("39", "external_routine_invocation_exception", FAULT, "a function that is wrong"),
    State("3B", "savepoint_exception", FAULT, "statements in a wrong order"),
    State("3D", "invalid_catalog_name", AWAY, "the database isn't there: it is being made or restored"),
    State("3F", "invalid_schema_name", AWAY, "the tables aren't there: the migration or the restore is still to come"),
    State("40", "transaction_rollback", AWAY, "rolled back for the sake of others; the same work again may pass"),
    State("40001", "serialization_failure", AWAY, "somebody else was first; also what a replica says of a conflict with its recovery"),
    State("40002", "transaction_integrity_constraint_violation", FAULT, "a constraint refuses this very work"),
    State("40003", "statement_completion_unknown", AWAY, "nobody knows whether it was done; repeating does no harm"),
    State(DEADLOCK, "deadlock_detected", SLOW, "two were in each other's way; tried once more as it is before it is tried in parts"),
    State("42", "syntax_error_or_access_rule_violation", FAULT, "a statement that is wrong"),
    State("42501", "insufficient_privilege", AWAY, "a right is missing on a table that all work needs: to be granted"),
    State("42703", "undefined_column", AWAY, "statements are literals that tests have run: so the migration is still to come"),
    State("42883", "undefined_function", AWAY, "as above"),
    State("42P01", "undefined_table", AWAY, "as above"),
    State("44", "with_check_option_violation", FAULT, "a view refuses this very row"),
    State("53", "insufficient_resources", AWAY, "the server lacks something"),
    State("53100", "disk_full", AWAY, "no smaller work helps: nothing can be written"),
    State("53200", "out_of_memory", SLOW, "less at once may fit, in memory as in the table of locks"),
    State("53300", "too_many_connections", AWAY, "others have all the connections"),
    State("53400", "configuration_limit_exceeded", SLOW, "less at once may fit the limit (temp_file_limit)"),
    State("54", "program_limit_exceeded", FAULT, "this very statement or row is too large or too deep"),
    State("55", "object_not_in_prerequisite_state", AWAY, "the database or a table is not open to this just now"),
    State("55006", "object_in_use", AWAY, "an operator works on it"),
    State("55P03", "lock_not_available", SLOW, "somebody else's lock was in the way for longer than lock_timeout"),
    State("57", "operator_intervention", AWAY, "an operator ended it"),
    State("57014", "query_canceled", SLOW, "it took longer than statement_timeout; less at once may not"),
    State("57P01", "admin_shutdown", AWAY, "the server or the session was ended"),
    State("57P02", "crash_shutdown", AWAY, "a server process crashed; all sessions end"),
    State("57P03", "cannot_connect_now", AWAY, "the server starts, ends or recovers"),
    State("57P04", "database_dropped", AWAY, "the database was dropped: to be restored"),
    State("57P05", "idle_session_timeout", AWAY, "the session was ended while nothing was asked of it"),
    State("58", "system_error", AWAY, "the operating system fails the server"),
    State("58030", "io_error", AWAY, "a disk fails"),
    State("58P01", "undefined_file", AWAY, "a file of the server is missing, mostly its disk"),
    State("72", "snapshot_too_old", AWAY, "the next transaction has a new snapshot (PostgreSQL 15 and 16)"),
    State("F0", "config_file_error", AWAY, "the server's configuration can't be read: so for all work alike"),
    State("HV", "fdw_error", FAULT, "no table of ours is foreign"),
    State("P0", "plpgsql_error", FAULT, "a trigger refuses this very row"),
    State("P0001", "raise_exception", FAULT, "a trigger refuses this very row"),
    State("XX", "internal_error", FAULT, "may be of this one row: narrowed down, so that the others go on"),
    State("XX001", "data_corrupted", FAULT, "a page of one table: whoever doesn't need it goes on, an operator looks at the rest"),
    State("XX002", "index_corrupted", FAULT, "as above"),
)
BY_CODE: Mapping[str, State] = {state.code: state for state in STATES}
UNKNOWN = State("", "unknown", FAULT, "of no class of PostgreSQL's: narrowed down, so that the others go on")


def state_of(code: str) -> State:
    """The row of the table that counts for a SQLSTATE."""
    return BY_CODE.get(code) or BY_CODE.get(code[:2]) or UNKNOWN


def sql_state(error: sa.exc.DBAPIError) -> str | None:
    """The SQLSTATE of a database error; None where the connection itself broke."""
    details = _fields(error.orig)
    return str(details["C"]) if "C" in details else None


def kind_of(error: BaseException) -> Kind:
    """What follows from an error: also from one without a SQLSTATE, and from one that isn't the database's."""
    if isinstance(error, (OSError, sa.exc.TimeoutError)):
        # No connection, none in time, or none left in the pool.
        return AWAY
    if not isinstance(error, sa.exc.DBAPIError):
        return FAULT
    code = sql_state(error)
    return AWAY if code is None else state_of(code).kind


def name_of(error: BaseException) -> str:
    """What an error is called: a database error by its condition name, any other by its class."""
    if isinstance(error, sa.exc.DBAPIError):
        code = sql_state(error)
        return "connection_exception" if code is None else state_of(code).name
    return type(error).__name__


def make_discreet(error: sa.exc.DBAPIError) -> None:
    """Take out of a database error whatever may hold people's data: rows, values, parameters and the statement.

    What stays is the SQLSTATE, its name, and which constraint of which table it was (documentation, "Error and Notice Message Fields").
    """
    fields = _fields(error.orig)
    harmless = {name: fields[name] for name in ("S", "V", "C", "s", "t", "c", "n") if name in fields}
    code = harmless.get("C")
    text = f"SQLSTATE {code} ({state_of(str(code)).name})" if code else _broken(error.orig)
    if "n" in harmless:
        text += f", constraint {harmless['n']}" + (f" of {harmless['t']}" if "t" in harmless else "")
    # The driver raises one error out of another, and a traceback shows them all.
    link: BaseException | None = error.orig
    while link is not None:
        if _fields(link):
            link.args = ({**harmless, "M": text},)
        link = link.__cause__ or link.__context__
    error.args, error.statement, error.params, error.detail, error.code = (text,), None, None, [], ""


def _broken(error: BaseException | None) -> str:
    """What the operating system says of the connection, if that is what it is about."""
    cause = error.__cause__ if error else None
    return f"no connection to the database: {cause}" if isinstance(cause, OSError) else "no connection to the database"


def _fields(error: BaseException | None) -> Mapping[str, Any]:
    """The fields of the server's error message, as the driver hands them on; none where the server said nothing."""
    details = error.args[0] if error is not None and error.args else None
    return details if isinstance(details, dict) else {}
