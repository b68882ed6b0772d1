"""Answer requests in forked children of a process that has imported TensorFlow and nothing else.

`elsewhere.py` starts this file by its path, as `check.isolated` says. Its arguments are modules
that must not be imported; it computes on the CPU. A request is a line of JSON on stdin, {"script",
"stdin", "log"}; the script runs in a child that starts as clean as this process is; its exit code
is the reply, a line on stdout.
"""

import io
import json
import os
import runpy
import sys
import traceback


def main() -> None:
    """Import TensorFlow, say so, and fork for every request until stdin ends."""
    nothing: dict = dict.fromkeys(sys.argv[1:])  # importing them raises ImportError
    sys.modules.update(nothing)
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    import tensorflow  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            answer(**request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def answer(script: str, stdin: str, log: str) -> None:
    """Run the script as a process of its own would, and end."""
    code = 1
    try:
        for number in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
        sys.stdin = io.StringIO(stdin)
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
