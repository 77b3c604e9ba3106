"""What a daemon loads, and what it does not."""

import subprocess
import sys


def test_what_is_left_out_is_not_loaded_and_can_be_later() -> None:
    program = (
        "import sys\n"
        "from qboxrelay.memory import left_out\n"
        "with left_out('colorsys'):\n"
        "    try:\n"
        "        import colorsys\n"
        "    except ImportError:\n"
        "        print('left out')\n"
        "import colorsys\n"
        "with left_out('colorsys'):\n"
        "    import colorsys\n"
        "print('loaded')\n"
    )
    assert _output(program) == ["left out", "loaded"]


def test_what_is_loaded_is_not_looked_through_for_cycles() -> None:
    program = (
        "import gc\n"
        "from qboxrelay.memory import collect_rarely\n"
        "usual = gc.get_threshold()\n"
        "collect_rarely()\n"
        "print(gc.get_freeze_count() > len(gc.get_objects()))\n"
        "print(gc.get_threshold()[0] > usual[0], gc.get_threshold()[1:] == usual[1:], gc.isenabled())\n"
    )
    assert _output(program) == ["True", "True True True"]


def test_a_relay_loads_nothing_that_it_does_not_use() -> None:
    """`qboxrelay run --config FILE`, until it finds that there is no such file: the libraries of the command line and the sandbox stay out of its
    memory.
    """
    program = (
        "import sys\n"
        "from qboxrelay.cli import main\n"
        "sys.argv = ['qboxrelay', 'run', '--config', '/nowhere/qboxrelay.toml']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print(end.code)\n"
        "print(sorted({'typer', 'rich', 'pygments', 'greenlet', 'pydantic'} & set(sys.modules)))\n"
    )
    assert _output(program) == ["78", "[]"]


def _output(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=120)
    return done.stdout.splitlines()
