"""How the tests of probes read measurements."""


def values(measurements):
    """{(name, group): value}"""
    return {(m.name, m.group): m.value for m in measurements}


def value(measurements, name, group=""):
    return values(measurements)[name, group]
