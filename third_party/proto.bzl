"""C++ libraries from .proto files, by the system's protoc."""

def cc_proto(name, srcs, deps = [], services = False, visibility = None):
    """A cc_library of the messages (and, if asked for, gRPC stubs) of .proto files.

    Args:
      name: the library.
      srcs: .proto files of this package; they are imported by their path from the root.
      deps: other cc_proto libraries whose files these import. Their `NAME_srcs` must be visible.
      services: whether to generate gRPC stubs too.
      visibility: of the library and its sources.
    """
    outs = []
    for src in srcs:
        base = src[:-len(".proto")]
        outs += [base + ".pb.h", base + ".pb.cc"]
        if services:
            outs += [base + ".grpc.pb.h", base + ".grpc.pb.cc"]
    native.filegroup(
        name = name + "_srcs",
        srcs = srcs + [dep + "_srcs" for dep in deps],
        visibility = visibility,
    )
    plugin = ""
    tools = ["@system//:protoc"]
    if services:
        plugin = "--grpc_out=$(GENDIR) --plugin=protoc-gen-grpc=$(location @system//:grpc_cpp_plugin) "
        tools.append("@system//:grpc_cpp_plugin")
    paths = " ".join([native.package_name() + "/" + src for src in srcs])
    native.genrule(
        name = name + "_gen",
        srcs = [":" + name + "_srcs"],
        outs = outs,
        cmd = "$(location @system//:protoc) -I. -I/usr/include --cpp_out=$(GENDIR) " + plugin + paths,
        tools = tools,
    )
    native.cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        copts = ["-Wno-error"],
        visibility = visibility,
        deps = deps + (["@system//:grpc++"] if services else ["@system//:protobuf"]),
    )
