"""Fuzz targets: over a corpus as a test in every build, and with libFuzzer by tools/fuzz."""

def fuzz_target(name, deps):
    """The target in NAME.cc, with its corpus in corpus/NAME/.

    Args:
      name: ends in _fuzz. NAME_test feeds it the corpus; NAME is for tools/fuzz alone.
      deps: of NAME.cc.
    """
    native.cc_library(
        name = name + "_target",
        testonly = True,
        srcs = [name + ".cc"],
        deps = deps + [
            ":bytes",
            ":quiet",
        ],
        alwayslink = True,
    )
    native.cc_test(
        name = name + "_test",
        size = "small",
        args = ["$(location %s)" % file for file in native.glob(["corpus/%s/*" % name])],
        data = native.glob(["corpus/%s/*" % name]),
        deps = [
            ":corpus_main",
            ":%s_target" % name,
        ],
    )
    native.cc_binary(
        name = name,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [":%s_target" % name],
    )
