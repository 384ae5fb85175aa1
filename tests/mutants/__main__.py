"""`make mutants`: try every fault and print which test notices it; exit code 1 where none does."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.console import complain, say
from tests.mutants.mutant import Mutant, read_mutants
from tests.mutants.trial import Copy, TrialError, Verdict


def main() -> int:
    """Try the mutants that ONLY names (none named: all) and print the table; return the exit code."""
    only = os.environ.get("ONLY", "").split()
    mutants = [each for each in read_mutants() if not only or each.name in only]
    unknown = set(only) - {each.name for each in mutants}
    if unknown:
        complain(f"make mutants: no such mutant: {', '.join(sorted(unknown))}")
        return 2
    try:
        with tempfile.TemporaryDirectory() as folder:
            verdicts = list(try_all(Copy(Path(folder) / "project"), mutants))
    except (TrialError, ValueError) as error:
        complain(f"make mutants: {error}")
        return 1
    survived = [each for each in verdicts if each.caught_by is None]
    say(f"{len(verdicts)} mutants, {len(survived)} survived")
    return 1 if survived else 0


def try_all(copy: Copy, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    """Each mutant's verdict, printed as a row of a table in Markdown; raises TrialError, ValueError."""
    copy.check(mutants)
    say("| mutant | what it breaks | caught by |")
    say("| --- | --- | --- |")
    for mutant in mutants:
        verdict = copy.judge(mutant)
        say(f"| {mutant.name} | {mutant.breaks} | {f'`{verdict.caught_by}`' if verdict.caught_by else '**SURVIVED**'} |")
        yield verdict


if __name__ == "__main__":
    sys.exit(main())
