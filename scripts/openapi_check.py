"""A check against classes that an OpenAPI generator made, run by the Python of another venv."""

# Python text: `check(kind, value, where)`, which looks for classes in the modules HOMES.
CHECK = """
def check(kind, value, where):
    if kind.lower().startswith("dict"):
        for key, item in value.items():
            check(kind[5:-1].split(", ")[1], item, f"{where}.{key}")
    elif kind.lower().startswith("list["):
        for item in value:
            check(kind[5:-1], item, where)
    elif kind in ("str", "int", "bool", "float", "object"):
        good = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}
        assert isinstance(value, good[kind]), f"{where} is no {kind}: {value!r}"
    else:
        found = next(getattr(home, kind) for home in HOMES if hasattr(home, kind))
        names = {there: here for here, there in found.attribute_map.items()}
        unknown = set(value) - set(names)
        assert not unknown, f"{where} has unknown keys: {unknown}"
        for key, item in value.items():
            check(found.openapi_types[names[key]], item, f"{where}.{key}")
        found(**{names[key]: item for key, item in value.items()})  # what must be there is there
"""
