"""Load a .keras file in a fresh process and compute with it; `elsewhere.reload` runs this file.

Of this library only the loader is imported: the file must say which rooms its classes live in.
"""

import importlib
import json
import sys


def main() -> None:
    """Answer the request on stdin: {"path", "inputs", "modules", "sys_path", "reply"}."""
    request = json.load(sys.stdin)
    sys.path[:] = request["sys_path"]
    import keras

    from kerasd2l.export import load_model
    from kerasd2l.testing.elsewhere import decode, encode

    for name in request["modules"]:
        importlib.import_module(name)
    model = load_model(request["path"])
    outputs = model(decode(request["inputs"]), training=False)
    outputs = keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)
    with open(request["reply"], "w", encoding="utf8") as file:
        json.dump(encode(outputs), file)


if __name__ == "__main__":
    main()
