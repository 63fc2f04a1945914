"""What check_goldens.py and check_training_goldens.py have in common: their table and their end."""
import pathlib
import sys


def main(usage, holds, columns, checked):
    """Exits with 1 when anything differs. Arguments of the program: GOLDENS MOE_LLAVA [FAMILY...], by default every
    family that has a folder `holds`. `checked(goldens, program, family)` gives rows of the table, each with what was
    missed."""
    if len(sys.argv) < 3:
        sys.exit(usage)
    goldens, program = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    families = sys.argv[3:] or sorted(path.parent.name for path in goldens.glob(f"*/{holds}"))
    misses = []
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for family in families:
        for row, missed in checked(goldens, program, family):
            print(row, flush=True)
            misses += missed
    for miss in misses:
        print(miss, file=sys.stderr)
    sys.exit(1 if misses else 0)
