"""Libraries in two builds: the one that ships, and one for tests that can be broken on purpose."""

def breakable_cc_library(name, twin, deps, twin_visibility, breakable_deps = {}, **kwargs):
    """A cc_library, and a testonly twin of the same sources with paxos/break.h's switch in it.

    A program must link one of the two, never both: what depends on one and is itself part of a
    breakable program needs a twin too.

    Args:
      name: the library that ships.
      twin: the name of its breakable twin.
      deps: of both.
      twin_visibility: of the twin.
      breakable_deps: dependencies that have twins: of the library, to that of its twin.
      **kwargs: of both.
    """
    visibility = kwargs.pop("visibility", None)
    native.cc_library(
        name = name,
        visibility = visibility,
        deps = deps + breakable_deps.keys(),
        **kwargs
    )
    native.cc_library(
        name = twin,
        testonly = True,
        defines = ["DISTLOG_BREAKABLE"],
        visibility = twin_visibility,
        deps = deps + breakable_deps.values(),
        **kwargs
    )
